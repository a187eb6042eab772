//! Containers' writable parts: `uppers/<id>/{up,work,files}`.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bulkhead_sys::root::{Durability, Root};
use bulkhead_sys::{SysError, mount, tree};
use bulkhead_types::{ErrorClass, IdMap};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::model::Error;
use crate::place::{self, Place};

/// Below `<root>`.
pub const UPPERS: &str = "uppers";

/// As [`crate::Store::create_upper`].
///
/// # Errors
/// Conflict if it exists.
pub fn create(place: &Place, id: &str) -> Result<(), Error> {
    let id = place::component(id)?;
    let uppers = place.dir(UPPERS)?;
    match rustix::fs::mkdirat(&uppers, id, Mode::RWXU) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            let message = format!("there is a writable part of {id} already; remove that container first");
            return Err(Error::new(ErrorClass::Conflict, message));
        }
        Err(errno) => return Err(SysError::new("mkdirat", id, errno).into()),
    }
    // Mode 0000 says that it was never mounted; the first mount gives it the owner and mode of the image's root.
    for (name, mode) in [("up", Mode::empty()), ("work", Mode::RWXU)] {
        rustix::fs::mkdirat(&uppers, format!("{id}/{name}"), mode)
            .map_err(|errno| SysError::new("mkdirat", name, errno))?;
    }
    Ok(())
}

/// The directory of one container.
///
/// # Errors
/// NotFound.
pub fn open(place: &Place, id: &str) -> Result<OwnedFd, Error> {
    let id = place::component(id)?;
    place::existing(place.dir(UPPERS)?.as_fd(), id)?
        .ok_or_else(|| Error::new(ErrorClass::NotFound, format!("there is no writable part of {id}")))
}

/// As [`crate::Store::remove_upper`].
///
/// # Errors
/// The kernel's.
pub fn remove(place: &Place, id: &str) -> Result<(), Error> {
    Ok(tree::remove(place.dir(UPPERS)?.as_fd(), place::component(id)?.as_bytes())?)
}

/// As [`crate::Store::uppers`].
///
/// # Errors
/// The kernel's.
pub fn all(place: &Place) -> Result<Vec<String>, Error> {
    Ok(place::names(place.dir(UPPERS)?.as_fd())?)
}

/// As [`crate::Store::upper_size`].
///
/// # Errors
/// The kernel's.
pub fn size(place: &Place, id: &str) -> Result<u64, Error> {
    match place::existing(open(place, id)?.as_fd(), "up")? {
        Some(up) => Ok(tree::usage(up.as_fd())?.bytes),
        None => Ok(0),
    }
}

/// As [`crate::Store::read_file`].
///
/// # Errors
/// As [`crate::Store::read_file`].
pub fn read_file(root: BorrowedFd<'_>, path: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
    let root = Root::new(root.try_clone_to_owned().map_err(|error| SysError::new("dup", path, error))?);
    match root.read(path, limit) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if matches!(error.raw(), libc_errno::ENOENT | libc_errno::ENOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The two numbers that mean "missing".
mod libc_errno {
    pub const ENOENT: i32 = rustix::io::Errno::NOENT.raw_os_error();
    pub const ENOTDIR: i32 = rustix::io::Errno::NOTDIR.raw_os_error();
}

/// As [`crate::Store::engine_file`].
///
/// # Errors
/// As [`crate::Store::engine_file`].
pub fn engine_file(place: &Place, id: &str, name: &str, contents: &[u8], ids: &IdMap) -> Result<OwnedFd, Error> {
    let name = place::component(name)?;
    let files = Root::new(place::subdirectory(open(place, id)?.as_fd(), "files")?);
    files.replace_with_mode(name, contents, Durability::Process, Mode::from_raw_mode(0o644))?;
    if place.rootless {
        give_to_root_inside(&files, name, ids)?;
        return Ok(mount::clone_tree(files.fd(), name, false)?);
    }
    let file = mount::clone_tree(files.fd(), name, false)?;
    place.idmap(file.as_fd(), ids, false)?;
    Ok(file)
}

/// Without idmapped mounts the file on disk must carry the id that the container's root has outside.
fn give_to_root_inside(files: &Root, name: &str, ids: &IdMap) -> Result<(), Error> {
    let owner = ids.to_host(0).map_err(|error| Error::new(ErrorClass::Invalid, error.to_string()))?;
    let file = files.open(name, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty())?;
    let (user, group) = (rustix::fs::Uid::from_raw(owner), rustix::fs::Gid::from_raw(owner));
    rustix::fs::fchown(&file, Some(user), Some(group)).map_err(|errno| SysError::new("fchown", name, errno))?;
    Ok(())
}
