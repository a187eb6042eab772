//! `--tmpfs PATH[:option,…]`.

use bulkhead_types::ByteSize;

use crate::model::{Error, Result};

use super::{MountSpec, Source, clean_target};

/// One `--tmpfs`.
///
/// # Errors
/// If the path or an option is malformed, or an option would weaken.
pub(crate) fn parse_tmpfs(raw: &str) -> Result<MountSpec> {
    let (target, options) = raw.split_once(':').unwrap_or((raw, ""));
    let target = clean_target("tmpfs", target)?;
    let (mut size, mut inodes, mut mode, mut exec, mut read_only) = (None, 0, 0o1777, false, false);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let invalid = || Error::invalid(format!("invalid tmpfs option {option:?}"));
        match option.split_once('=') {
            Some(("size", "0")) => size = None,
            Some(("size", value)) => size = Some(tmpfs_size(value).ok_or_else(invalid)?),
            Some(("nr_inodes", value)) => inodes = value.parse::<ByteSize>().map_err(|_| invalid())?.0,
            Some(("mode", value)) => {
                mode = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o7777).ok_or_else(invalid)?;
            }
            // The owner inside is root anyway.
            Some(("uid" | "gid", "0")) => {}
            Some(("uid" | "gid" | "nr_blocks" | "mpol" | "huge", _)) => {
                return Err(Error::unsupported(format!(
                    "tmpfs option {option:?} is not supported; use size, mode, nr_inodes"
                )));
            }
            None => match option {
                "exec" => exec = true,
                "noexec" => exec = false,
                "ro" => read_only = true,
                "rw" => read_only = false,
                // Memory has no disk to save wear or times for.
                "nosuid" | "nodev" | "noatime" | "relatime" | "nodiratime" | "async" | "defaults" => {}
                "suid" | "dev" => {
                    return Err(Error::unsupported(format!(
                        "tmpfs option {option:?} is refused: every mount is nosuid and nodev"
                    )));
                }
                _ => return Err(invalid()),
            },
            _ => return Err(invalid()),
        }
    }
    Ok(MountSpec { target, source: Source::Tmpfs { size, inodes, mode, exec }, read_only })
}

/// Bytes, or a percentage of the host's memory.
fn tmpfs_size(text: &str) -> Option<u64> {
    let Some(percent) = text.strip_suffix('%') else { return text.parse::<ByteSize>().ok().map(|size| size.0) };
    let percent: u64 = percent.parse().ok().filter(|percent| *percent <= 100)?;
    Some(crate::host::memory() / 100 * percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let spec = parse_tmpfs("/run:rw,noexec,nosuid,size=65536k,mode=755").unwrap();
        assert_eq!(spec.source, Source::Tmpfs { size: Some(64 << 20), inodes: 0, mode: 0o755, exec: false });
        let spec = parse_tmpfs("/tmp").unwrap();
        assert_eq!(spec.source, Source::Tmpfs { size: None, inodes: 0, mode: 0o1777, exec: false });
        assert!(parse_tmpfs("/tmp:ro,exec").unwrap().read_only);
        for bad in ["tmp", "/tmp:size=x", "/tmp:mode=9", "/tmp:foo", "/tmp:foo=1", "/tmp:suid", "/tmp:uid=5"] {
            assert!(parse_tmpfs(bad).is_err(), "{bad}");
        }
    }
}
