//! What is attached below a container's root, in Docker's grammars: `-v`, `--mount`, `--tmpfs`, `--volumes-from` and
//! the image's `VOLUME`s. Pure parsing and merging; nothing is opened here.

mod long;
mod merge;
mod short;
mod tmpfs;

pub(crate) use long::parse_long;
pub(crate) use merge::{merge, share};
pub(crate) use short::parse_short;
pub(crate) use tmpfs::parse_tmpfs;

use serde::{Deserialize, Serialize};

use crate::model::{Error, Result};

/// One mount as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MountSpec {
    /// Absolute and clean.
    pub target: String,
    pub source: Source,
    pub read_only: bool,
}

/// Where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// A path of the host.
    Bind { path: String, create: bool, recursive: bool },
    /// A volume; an anonymous one gets its name when the container is recorded.
    Volume(VolumeSource),
    /// Memory.
    Tmpfs { size: Option<u64>, inodes: u64, mode: u32, exec: bool },
}

/// A volume as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VolumeSource {
    /// `None` until the anonymous volume is made.
    pub name: Option<String>,
    pub anonymous: bool,
    /// Do not fill an empty volume from the image.
    pub no_copy: bool,
    pub subpath: Option<String>,
    pub labels: std::collections::BTreeMap<String, String>,
    pub options: std::collections::BTreeMap<String, String>,
}

impl MountSpec {
    /// An anonymous volume at `target`.
    pub fn anonymous(target: String) -> Self {
        let source = Source::Volume(VolumeSource { anonymous: true, ..VolumeSource::default() });
        Self { target, source, read_only: false }
    }

    /// The name of its volume.
    pub fn volume(&self) -> Option<&str> {
        match &self.source {
            Source::Volume(volume) => volume.name.as_deref(),
            _ => None,
        }
    }

    /// Docker's word for its kind.
    pub const fn kind(&self) -> &'static str {
        match self.source {
            Source::Bind { .. } => "bind",
            Source::Volume(_) => "volume",
            Source::Tmpfs { .. } => "tmpfs",
        }
    }
}

/// An absolute target below the root without `.`, `..` and double slashes; not one that the engine itself fills.
///
/// # Errors
/// In Docker's words.
pub(crate) fn clean_target(kind: &str, target: &str) -> Result<String> {
    let refuse = |why: String| Error::invalid(format!("invalid mount config for type \"{kind}\": {why}"));
    if target.is_empty() {
        return Err(refuse("field Target must not be empty".into()));
    }
    if !target.starts_with('/') {
        return Err(refuse(format!("invalid mount path: '{target}' mount path must be absolute")));
    }
    if target.contains('\0') {
        return Err(refuse(format!("invalid mount path: '{}'", target.escape_debug())));
    }
    let clean = clean(target);
    if clean == "/" {
        return Err(refuse("invalid specification: destination can't be '/'".into()));
    }
    if clean == "/proc" || clean.starts_with("/proc/") {
        return Err(refuse(format!("'{clean}' is inside /proc, which only the kernel may fill (CVE-2019-16884)")));
    }
    if clean == "/dev" || clean == "/sys" {
        return Err(refuse(format!("'{clean}' is made by the engine; mount below it instead")));
    }
    Ok(clean)
}

/// Go's `path.Clean` for an absolute path.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// A volume's name in Docker's pattern.
///
/// # Errors
/// In Docker's words.
pub(crate) fn check_volume_name(name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && name.len() >= 2 && name.len() <= 255 && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    {
        return Ok(());
    }
    if name.len() == 1 {
        return Err(Error::invalid(format!(
            "volume name is too short, names should be at least two alphanumeric characters: {name}"
        )));
    }
    Err(Error::invalid(format!(
        "{name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. \
         If you intended to pass a host directory, use absolute path"
    )))
}

/// A boolean as Go reads it.
pub(crate) fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A host path as a user writes it: relative ones start at the current directory.
///
/// # Errors
/// If there is no current directory.
pub(crate) fn host_path(path: &str) -> Result<String> {
    if path.starts_with('/') {
        return Ok(clean(path));
    }
    let here = std::env::current_dir()
        .map_err(|error| Error::invalid(format!("{path}: the current directory cannot be read: {error}")))?;
    let here = here.to_str().ok_or_else(|| Error::invalid(format!("{path}: the current directory is not UTF-8")))?;
    Ok(clean(&format!("{here}/{path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_cleaned_or_refused() {
        assert_eq!(clean_target("bind", "/a//b/../c/.").unwrap(), "/a/c");
        for (target, text) in [
            ("", "invalid mount config for type \"bind\": field Target must not be empty"),
            ("a", "invalid mount config for type \"bind\": invalid mount path: 'a' mount path must be absolute"),
            ("/a/..", "invalid mount config for type \"bind\": invalid specification: destination can't be '/'"),
        ] {
            assert_eq!(clean_target("bind", target).unwrap_err().message, text);
        }
        for refused in ["/proc", "/proc/self/x", "/x/../proc/1", "/dev", "/sys/"] {
            assert!(clean_target("bind", refused).is_err(), "{refused}");
        }
        assert!(clean_target("bind", "/procfs").is_ok());
    }

    #[test]
    fn volume_names() {
        assert!(check_volume_name("pg-data_1.x").is_ok());
        assert!(check_volume_name("a").unwrap_err().message.contains("too short"));
        for bad in ["", "-a", "a/b", "ü1"] {
            assert!(check_volume_name(bad).is_err(), "{bad}");
        }
    }
}
