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

/// The work directory of an overlay that syncs as usual.
pub const WORK: &str = "work";
/// That of one that never syncs, because its container is removed after its exit.
pub const SCRAP: &str = "scrap";

/// As [`crate::Store::create_upper`] and [`crate::Store::create_ephemeral_upper`]; `work` is [`WORK`] or [`SCRAP`].
///
/// # Errors
/// Conflict if it exists.
pub fn create(place: &Place, id: &str, work: &str) -> Result<(), Error> {
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
    for (name, mode) in [("up", Mode::empty()), (work, Mode::RWXU)] {
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

/// Turns the owners that a container's upper directory has on disk into those that it has inside.
#[derive(Debug)]
pub struct Owners {
    /// `None` if they are the same.
    upper: Option<IdMap>,
    layers: Option<IdMap>,
}

/// Who owns what has no id inside.
pub const NOBODY: u32 = 65_534;

impl Owners {
    /// Of one container.
    ///
    /// # Errors
    /// If (rootless) its record cannot be read.
    pub fn of(place: &Place, id: &str) -> Result<Self, Error> {
        if !place.rootless {
            return Ok(Self { upper: None, layers: None });
        }
        Ok(Self { upper: stored_map(open(place, id)?.as_fd())?, layers: Some(crate::ranges::canonical_map()?) })
    }

    /// An id of the upper directory as it is inside.
    #[must_use]
    pub fn inside(&self, id: u32) -> u32 {
        self.upper.as_ref().map_or(id, |map| map.to_container(id).unwrap_or(NOBODY))
    }

    /// True if owner, mode or time of an object in the upper directory are not those it has in the layers.
    #[must_use]
    pub fn differ(&self, above: &rustix::fs::Stat, below: &rustix::fs::Stat) -> bool {
        let lower = |id| self.layers.as_ref().map_or(id, |map| map.to_container(id).unwrap_or(NOBODY));
        let above_key = (above.st_mode, self.inside(above.st_uid), self.inside(above.st_gid));
        let below_key = (below.st_mode, lower(below.st_uid), lower(below.st_gid));
        above_key != below_key || (above.st_mtime, above.st_mtime_nsec) != (below.st_mtime, below.st_mtime_nsec)
    }
}

/// (Rootless) the map whose host ids a container's or volume's directory carries on disk.
const STORED_MAP: &str = "ids.json";

/// Reads the stored map below a container's or volume's directory; `None` if it was never mounted.
///
/// # Errors
/// If it is damaged.
pub fn stored_map(dir: BorrowedFd<'_>) -> Result<Option<IdMap>, Error> {
    let Some(text) = read_file(dir, STORED_MAP, 64 * 1024)? else { return Ok(None) };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        Error::new(ErrorClass::Internal, format!("the record {STORED_MAP} of a writable directory is damaged: {error}"))
    })
}

/// (Rootless) makes the tree `name` below `dir` belong to the ids of this map, and remembers that.
///
/// # Errors
/// The kernel's.
pub fn shift(dir: BorrowedFd<'_>, name: &str, ids: &IdMap) -> Result<(), Error> {
    let stored = stored_map(dir)?;
    if stored.as_ref() == Some(ids) {
        return Ok(());
    }
    let tree = place::subdirectory(dir, name)?;
    let nobody = ids.to_host(NOBODY).or_else(|_| ids.to_host(0)).unwrap_or(0);
    let outside = |inside: u32| ids.to_host(inside).unwrap_or(nobody);
    let translate = |id: u32| match &stored {
        // Two ranges share no id, so what has a new one already was done by an attempt that was killed.
        _ if ids.to_container(id).is_ok() => id,
        Some(map) => map.to_container(id).map_or(nobody, outside),
        // Never mounted: what is there was made by us, for root inside.
        None => outside(0),
    };
    crate::copy::change_owners(tree.as_fd(), &translate)?;
    let text = serde_json::to_vec(ids).map_err(|error| Error::new(ErrorClass::Internal, error.to_string()))?;
    let record = Root::new(dir.try_clone_to_owned().map_err(|error| SysError::new("dup", name, error))?);
    Ok(record.replace(STORED_MAP, &text, Durability::Process)?)
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
    let mode = Mode::from_raw_mode(0o644);
    match files.write_new(name, contents, Durability::Process, mode) {
        // A later start, or one after an interrupted start.
        Err(error) if error.raw() == Errno::EXIST.raw_os_error() => {
            files.replace_with_mode(name, contents, Durability::Process, mode)?;
        }
        other => other?,
    }
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
