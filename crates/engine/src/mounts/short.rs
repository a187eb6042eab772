//! `-v [SOURCE:]TARGET[:OPTION,…]`.

use crate::model::{Error, Result};

use super::{MountSpec, Source, VolumeSource, check_volume_name, clean_target, host_path};

/// What the third part may say.
#[derive(Default)]
struct Mode {
    read_only: bool,
    no_copy: bool,
}

/// One `-v`.
///
/// # Errors
/// In Docker's words.
pub(crate) fn parse_short(raw: &str) -> Result<MountSpec> {
    let invalid = || Error::invalid(format!("invalid volume specification: '{raw}'"));
    let parts: Vec<&str> = raw.splitn(4, ':').collect();
    let (source, target, mode) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [_, mode] if parse_mode(mode).is_ok() => return Err(invalid()),
        [source, target] => (Some(*source), *target, ""),
        [source, target, mode] => (Some(*source), *target, *mode),
        _ => return Err(invalid()),
    };
    if parts.first().is_none_or(|first| first.is_empty()) || target.is_empty() {
        return Err(invalid());
    }
    let mode = parse_mode(mode)?;
    let Some(source) = source else {
        return Ok(MountSpec::anonymous(clean_target("volume", target)?));
    };
    if source.starts_with('/')
        || source == "."
        || source == ".."
        || source.starts_with("./")
        || source.starts_with("../")
    {
        let target = clean_target("bind", target)?;
        let source = Source::Bind { path: host_path(source)?, create: true, recursive: true };
        return Ok(MountSpec { target, source, read_only: mode.read_only });
    }
    check_volume_name(source)?;
    let volume = VolumeSource { name: Some(source.to_owned()), no_copy: mode.no_copy, ..VolumeSource::default() };
    Ok(MountSpec { target: clean_target("volume", target)?, source: Source::Volume(volume), read_only: mode.read_only })
}

fn parse_mode(text: &str) -> Result<Mode> {
    let invalid = || Error::invalid(format!("invalid mode: {text}"));
    let mut mode = Mode::default();
    let (mut access, mut label, mut propagation, mut consistency) = (0, 0, 0, 0);
    if text.is_empty() {
        return Ok(mode);
    }
    for word in text.split(',') {
        match word {
            "rw" => access += 1,
            "ro" => {
                mode.read_only = true;
                access += 1;
            }
            // Labels exist on SELinux hosts only; Docker too does nothing elsewhere.
            "z" | "Z" => label += 1,
            "private" | "rprivate" => propagation += 1,
            "shared" | "rshared" | "slave" | "rslave" => {
                return Err(Error::unsupported(format!(
                    "mount propagation {word:?} would tie the container's mounts to the host's and is not supported; \
                     leave it out (rprivate)"
                )));
            }
            "consistent" | "cached" | "delegated" => consistency += 1,
            "nocopy" => mode.no_copy = true,
            _ => return Err(invalid()),
        }
    }
    let once = [access, label, propagation, consistency].iter().all(|count| *count <= 1);
    if !once {
        return Err(invalid());
    }
    if label > 0 && std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        return Err(Error::unsupported(format!(
            "mode {text:?}: relabelling for SELinux is not supported yet; label the path with chcon and leave z out"
        )));
    }
    Ok(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let spec = parse_short("/data").unwrap();
        assert_eq!((spec.target.as_str(), spec.kind()), ("/data", "volume"));
        let spec = parse_short("pg:/var/lib/pg:ro,nocopy").unwrap();
        assert!(spec.read_only);
        assert_eq!(spec.volume(), Some("pg"));
        let spec = parse_short("/srv/x/../y:/y:ro").unwrap();
        assert_eq!(spec.source, Source::Bind { path: "/srv/y".into(), create: true, recursive: true });
        let spec = parse_short("./here:/y").unwrap();
        assert!(matches!(spec.source, Source::Bind { path, .. } if path.starts_with('/') && path.ends_with("/here")));
    }

    #[test]
    fn refusals_in_dockers_words() {
        for (raw, text) in [
            ("", "invalid volume specification: ''"),
            (":/x", "invalid volume specification: ':/x'"),
            ("/x:", "invalid volume specification: '/x:'"),
            ("/x:ro", "invalid volume specification: '/x:ro'"),
            ("/a:/b:ro:z", "invalid volume specification: '/a:/b:ro:z'"),
            ("/a:/b:rx", "invalid mode: rx"),
            ("/a:/b:ro,rw", "invalid mode: ro,rw"),
            ("/a:b", "invalid mount config for type \"bind\": invalid mount path: 'b' mount path must be absolute"),
        ] {
            assert_eq!(parse_short(raw).unwrap_err().message, text);
        }
        assert!(parse_short("/a:/b:rshared").unwrap_err().message.contains("not supported"));
        assert!(parse_short("a b:/x").unwrap_err().message.contains("includes invalid characters"));
    }
}
