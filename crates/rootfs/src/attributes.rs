//! Extended attributes of files and directories, without those that an overlay keeps for itself.

use std::os::fd::BorrowedFd;

use bulkhead_sys::SysError;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::model::Error;

/// Names and values.
pub type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// All attributes of an open object in order of their names. ACLs are left out: they hold ids that would need
/// translation, and images do not use them.
///
/// # Errors
/// The kernel's.
pub fn read(object: BorrowedFd<'_>) -> Result<Attributes, Error> {
    let mut found = Vec::new();
    for name in names(object)? {
        if is_private(&name) {
            continue;
        }
        if let Some(value) = get(object, &name)? {
            found.push((name, value));
        }
    }
    found.sort();
    Ok(found)
}

/// Copies all attributes of one open object to another. Those that the target's file system does not know are left
/// out.
///
/// # Errors
/// The kernel's.
pub fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Error> {
    for name in names(from)? {
        // Opaque marks of layers are copied too; the container's own view never shows an overlay's attributes.
        if name.starts_with(b"system.") {
            continue;
        }
        let Some(value) = get(from, &name)? else { continue };
        match rustix::fs::fsetxattr(to, name.as_slice(), &value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(failed("fsetxattr", &name, errno)),
        }
    }
    Ok(())
}

/// One attribute; `None` if the object does not have it.
///
/// # Errors
/// The kernel's.
pub fn get(object: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut size = 256;
    loop {
        let mut value = vec![0u8; size];
        match rustix::fs::fgetxattr(object, name, &mut value[..]) {
            Ok(count) => {
                value.truncate(count);
                return Ok(Some(value));
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(Errno::RANGE) if size <= 64 * 1024 => size *= 4,
            Err(errno) => return Err(failed("fgetxattr", name, errno)),
        }
    }
}

fn names(object: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Error> {
    let mut size = 1024;
    loop {
        let mut list = vec![0u8; size];
        match rustix::fs::flistxattr(object, &mut list[..]) {
            Ok(count) => {
                let text = list.get(..count).unwrap_or_default();
                return Ok(text.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect());
            }
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(Errno::RANGE) if size <= 64 * 1024 => size *= 4,
            Err(errno) => return Err(failed("flistxattr", b"", errno)),
        }
    }
}

/// An overlay's own marks, or what would need translation.
fn is_private(name: &[u8]) -> bool {
    [b"trusted.overlay.".as_slice(), b"user.overlay.", b"system."].iter().any(|prefix| name.starts_with(prefix))
}

fn failed(call: &'static str, name: &[u8], errno: Errno) -> Error {
    SysError::new(call, String::from_utf8_lossy(name), errno).into()
}
