//! `--device HOST[:INSIDE[:rwm]]`: host nodes become numbers.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use bulkhead_plan::Device;

use crate::model::{Error, Result};
use crate::mounts::clean;

/// The nodes that one `--device` stands for: one, or all below a directory.
///
/// # Errors
/// In Docker's words.
pub(crate) fn resolve(raw: &str) -> Result<Vec<Device>> {
    let (host, inside, access) = split(raw)?;
    let meta = std::fs::metadata(&host).map_err(|error| {
        Error::invalid(format!("error gathering device information while adding custom device \"{host}\": {error}"))
    })?;
    if !meta.is_dir() {
        return Ok(vec![node(&host, &inside, &access, &meta)?]);
    }
    let entries = std::fs::read_dir(&host).map_err(|error| Error::invalid(format!("--device {host}: {error}")))?;
    let mut nodes = Vec::new();
    for entry in entries.flatten() {
        let (Some(name), Ok(meta)) = (entry.file_name().to_str().map(str::to_owned), std::fs::metadata(entry.path()))
        else {
            continue;
        };
        if meta.file_type().is_char_device() || meta.file_type().is_block_device() {
            nodes.push(node(&format!("{host}/{name}"), &format!("{inside}/{name}"), &access, &meta)?);
        }
    }
    if nodes.is_empty() {
        return Err(Error::invalid(format!("--device {host}: the directory has no device nodes")));
    }
    Ok(nodes)
}

fn node(host: &str, inside: &str, access: &str, meta: &std::fs::Metadata) -> Result<Device> {
    let kind = match meta.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => {
            return Err(Error::invalid(format!(
                "error gathering device information while adding custom device \"{host}\": not a device node"
            )));
        }
    };
    Ok(Device {
        path: inside.to_owned(),
        kind,
        major: rustix::fs::major(meta.rdev()),
        minor: rustix::fs::minor(meta.rdev()),
        mode: meta.mode() & 0o777,
        access: access.to_owned(),
    })
}

fn split(raw: &str) -> Result<(String, String, String)> {
    let is_mode = |text: &str| !text.is_empty() && text.bytes().all(|byte| b"rwm".contains(&byte));
    let parts: Vec<&str> = raw.split(':').collect();
    let (host, inside, access) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, mode] if is_mode(mode) => (*host, *host, *mode),
        [host, inside] => (*host, *inside, "rwm"),
        [host, inside, mode] if is_mode(mode) => (*host, *inside, *mode),
        [_, _, mode] => return Err(Error::invalid(format!("bad mode specified: {mode}"))),
        _ => return Err(Error::invalid(format!("invalid device specification: {raw}"))),
    };
    if raw.contains("nvidia.com/") || (!host.starts_with('/') && host.contains('=')) {
        return Err(Error::unsupported(format!(
            "--device {raw}: CDI device names are not supported; name a node below /dev"
        )));
    }
    if !host.starts_with('/') || !inside.starts_with('/') {
        return Err(Error::invalid(format!("{raw} is not an absolute path")));
    }
    let inside = clean(inside);
    if !inside.starts_with("/dev/") {
        return Err(Error::unsupported(format!(
            "--device {raw}: device nodes exist below /dev only; write {host}:/dev/NAME"
        )));
    }
    Ok((clean(host), inside, access.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let null = resolve("/dev/null").unwrap();
        assert_eq!((null[0].kind, null[0].major, null[0].minor, null[0].access.as_str()), ('c', 1, 3, "rwm"));
        let zero = resolve("/dev/zero:/dev/nothing:r").unwrap();
        assert_eq!((zero[0].path.as_str(), zero[0].access.as_str()), ("/dev/nothing", "r"));
        assert_eq!(resolve("/dev/null:rw").unwrap()[0].path, "/dev/null");
        for bad in
            ["null", "/dev/null:null", "/dev/null:/dev/x:q", "/etc/passwd:/dev/x", "/dev/null:/etc/x", "/dev/nope"]
        {
            assert!(resolve(bad).is_err(), "{bad}");
        }
    }
}
