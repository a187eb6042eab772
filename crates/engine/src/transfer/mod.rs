//! What `bulkhead internal tar-out | tar-in | stat` do: copying to and from a container.
//!
//! The same code runs at both ends, each time as a process of its own with the rights of its side: inside the container
//! (by `Exec { own_program: true }`, or as the only process of a throw-away cell), where untrusted paths are resolved
//! with the container's own rights and cannot name anything outside (CVE-2018-15664, CVE-2019-14271), and on the host,
//! where an archive from a container is unpacked.
//!
//! | words behind the program | reads | writes |
//! |---|---|---|
//! | `internal tar-out [--follow] [--one-mount] [--name NAME] PATH` | | a tar of PATH on standard output |
//! | `internal tar-in [--preserve] [--host] [--from NAME --to NAME] DIR` | a tar on standard input | below DIR |
//! | `internal stat PATH` | | one JSON object, or `null`, on standard output |
//!
//! Errors are a sentence on standard error and exit code 1.

mod pack;
mod unpack;

use std::path::Path;

use bulkhead_types::ErrorClass;
use rustix::io::Errno;
use serde_json::{Value, json};

pub use pack::{PackOptions, pack};
pub use unpack::{UnpackOptions, unpack};

use crate::{Error, PathStat, Result};

/// `lstat(2)` of a path as JSON; `null` if there is nothing. A trailing `/.` follows a link to a directory.
///
/// # Errors
/// The kernel's, but not that there is nothing.
pub fn stat_json(path: &Path) -> Result<Value> {
    let stat = match rustix::fs::lstat(path) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Value::Null),
        other => other.map_err(|errno| failed("look at", path, errno))?,
    };
    let is_link = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink;
    let target = if is_link {
        rustix::fs::readlink(path, Vec::new()).map_err(|errno| failed("read the link", path, errno))?
    } else {
        c"".to_owned()
    };
    Ok(json!({
        "name": path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_else(|| "/".into()),
        "size": u64::try_from(stat.st_size).unwrap_or(0),
        "mode": stat.st_mode,
        "mtime": stat.st_mtime,
        "link_target": target.to_string_lossy(),
    }))
}

/// Reads what [`stat_json`] wrote.
///
/// # Errors
/// If it is something else.
pub fn parse_stat(output: &[u8]) -> Result<Option<PathStat>> {
    let bad = || Error::new(ErrorClass::Internal, "the answer about a path inside the container is not understood");
    let value: Value = serde_json::from_slice(output).map_err(|_| bad())?;
    if value.is_null() {
        return Ok(None);
    }
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned).ok_or_else(bad);
    let number = |key: &str| value.get(key).and_then(Value::as_u64).ok_or_else(bad);
    Ok(Some(PathStat {
        name: text("name")?,
        size: number("size")?,
        mode: u32::try_from(number("mode")?).map_err(|_| bad())?,
        mtime: value.get("mtime").and_then(Value::as_i64).ok_or_else(bad)?,
        link_target: text("link_target")?,
    }))
}

/// An error about a path, by what the kernel said.
fn failed(what: &str, path: &Path, errno: Errno) -> Error {
    let class = match errno {
        Errno::NOENT | Errno::NOTDIR => ErrorClass::NotFound,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorClass::Denied,
        _ => ErrorClass::Internal,
    };
    Error::new(class, format!("cannot {what} {}: {}", path.display(), std::io::Error::from(errno)))
}

#[cfg(test)]
mod tests;
