//! Names on disk: what is being made, what is ready, and what a crash left.

use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_sys::root::Root;
use bulkhead_sys::{random, tree};
use bulkhead_types::{Algorithm, Digest, ErrorClass};
use rustix::fs::{FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::Backend;
use crate::Error;

/// Where layers are made, below the layers' directory.
const STAGING: &str = "tmp";

/// A complete layer that is not visible yet. Dropping it removes it.
#[derive(Debug)]
pub struct Staged {
    place: Place,
    target: String,
}

/// A file or directory below the staging directory that is held by a `flock` and removed when dropped.
#[derive(Debug)]
pub(super) struct Place {
    layers: OwnedFd,
    staging: OwnedFd,
    name: String,
    object: OwnedFd,
    directory: bool,
    kept: bool,
}

impl Staged {
    pub(super) fn new(place: Place, diff_id: &Digest, backend: &Backend) -> Self {
        Self { place, target: file_name(diff_id, backend) }
    }

    /// Makes it visible (fsync, rename). A layer that somebody else made visible meanwhile is as good.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn commit(mut self) -> Result<(), Error> {
        let place = &mut self.place;
        let failed = |what, errno: Errno| full_or_damaged(&format!("{what} layer {}", self.target), errno);
        if place.directory {
            rustix::fs::syncfs(&place.object).map_err(|errno| failed("writing", errno))?;
        } else {
            rustix::fs::fdatasync(&place.object).map_err(|errno| failed("writing", errno))?;
        }
        let rename = rustix::fs::renameat_with(
            &place.staging,
            place.name.as_str(),
            &place.layers,
            self.target.as_str(),
            RenameFlags::NOREPLACE,
        );
        match rename {
            Ok(()) => place.kept = true,
            Err(Errno::EXIST) => return Ok(()),
            Err(errno) => return Err(failed("publishing", errno)),
        }
        let layers = Root::new(rustix::io::dup(&place.layers).map_err(|errno| failed("publishing", errno))?);
        let readable = layers.open(".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
        let readable = readable.map_err(|error| Error::new(ErrorClass::Internal, error.to_string()))?;
        rustix::fs::fsync(&readable).map_err(|errno| failed("publishing", errno))
    }
}

impl Place {
    /// Makes a file or directory for this layer and locks it.
    pub fn new(layers: &Root, diff_id: &Digest, backend: &Backend) -> Result<Self, Error> {
        let internal = |error: bulkhead_sys::SysError| Error::new(ErrorClass::Internal, error.to_string());
        let staging = layers.create_dir_all(STAGING).map_err(internal)?;
        let own = layers.fd().try_clone_to_owned();
        let own = own.map_err(|error| Error::new(ErrorClass::Internal, error.to_string()))?;
        let directory = matches!(backend, Backend::Directory(_));
        loop {
            let number = Digest::from_bytes(Algorithm::Sha256, &random::bytes32().map_err(internal)?);
            let name = format!("{}.{}", diff_id.short(), number.as_ref().map_or("0", Digest::short));
            let failed =
                |errno| full_or_damaged(&format!("making {STAGING}/{name} below the layers' directory"), errno);
            let object = create(&staging, &name, directory).map_err(failed)?;
            // A sweeper may have locked and removed it before we locked it.
            rustix::io::retry_on_intr(|| rustix::fs::flock(&object, FlockOperation::LockExclusive)).map_err(failed)?;
            if rustix::fs::fstat(&object).map_err(failed)?.st_nlink > 0 {
                return Ok(Self { layers: own, staging, name, object, directory, kept: false });
            }
        }
    }

    /// The file, open for reading and writing, or the directory.
    pub fn object(&self) -> &OwnedFd {
        &self.object
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now is found by the next sweep: its lock goes with us.
            tree::remove(self.staging.as_fd(), self.name.as_bytes()).ok();
        }
    }
}

fn create(staging: &OwnedFd, name: &str, directory: bool) -> Result<OwnedFd, Errno> {
    if directory {
        rustix::fs::mkdirat(staging, name, Mode::RWXU)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        return rustix::fs::openat(staging, name, flags, Mode::empty());
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(staging, name, flags, Mode::RUSR | Mode::WUSR)
}

pub(super) fn full_or_damaged(what: &str, errno: Errno) -> Error {
    let cure = if errno == Errno::NOSPC || errno == Errno::DQUOT {
        "; free some space (`bulkhead image prune`, `bulkhead system df`) and try again"
    } else {
        ""
    };
    Error::new(ErrorClass::Internal, format!("{what}: {errno}{cure}"))
}

/// The name of a ready layer.
pub(super) fn file_name(diff_id: &Digest, backend: &Backend) -> String {
    match backend {
        Backend::Erofs => format!("{}.erofs", diff_id.hex()),
        Backend::Directory(directory) => match directory.base {
            None => diff_id.hex().to_owned(),
            Some(base) => format!("{}.{base}", diff_id.hex()),
        },
    }
}

/// Bytes on disk of a ready layer, all its forms together; 0 if there is none.
pub(crate) fn size(layers: &Root, diff_id: &Digest) -> u64 {
    let names = names(layers).unwrap_or_default();
    let ours = names.iter().filter(|name| digest_of(name).as_ref() == Some(diff_id));
    ours.map(|name| size_of(layers, name).unwrap_or(0)).sum()
}

fn size_of(layers: &Root, name: &str) -> Option<u64> {
    let object = layers.open(name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&object).ok()?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::Directory {
        return u64::try_from(stat.st_blocks).ok().map(|blocks| blocks * 512);
    }
    let dir = layers.open(name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).ok()?;
    tree::usage(dir.as_fd()).ok().map(|usage| usage.bytes)
}

/// All ready layers, each once.
///
/// # Errors
/// If the directory cannot be read.
pub(crate) fn list(layers: &Root) -> Result<Vec<Digest>, Error> {
    let mut digests: Vec<Digest> = names(layers)?.iter().filter_map(|name| digest_of(name)).collect();
    digests.sort();
    digests.dedup();
    Ok(digests)
}

/// `<hex>`, `<hex>.erofs` and `<hex>.<base>`.
fn digest_of(name: &str) -> Option<Digest> {
    let hex = name.split('.').next()?;
    let algorithm = [Algorithm::Sha256, Algorithm::Sha512].into_iter().find(|known| known.hex_len() == hex.len())?;
    format!("{}:{hex}", algorithm.as_str()).parse().ok()
}

fn names(layers: &Root) -> Result<Vec<String>, Error> {
    read_names(layers, ".").map_err(|error| Error::new(ErrorClass::Internal, error.to_string()))
}

fn read_names(layers: &Root, path: &str) -> bulkhead_sys::Result<Vec<String>> {
    let dir = layers.open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let error = |errno| bulkhead_sys::SysError::new("getdents64", path, errno);
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&dir).map_err(error)? {
        names.extend(entry.map_err(error)?.file_name().to_str().ok().map(str::to_owned));
    }
    names.retain(|name| name != "." && name != "..");
    Ok(names)
}

/// Removes what crashed processes left in the staging directory; what a living one holds stays.
///
/// # Errors
/// If something cannot be removed.
pub(crate) fn sweep(layers: &Root) -> Result<(), Error> {
    let internal = |error: bulkhead_sys::SysError| Error::new(ErrorClass::Internal, error.to_string());
    let names = match read_names(layers, STAGING) {
        Err(error) if error.raw() == Errno::NOENT.raw_os_error() => return Ok(()),
        other => other.map_err(internal)?,
    };
    let staging = layers.create_dir_all(STAGING).map_err(internal)?;
    for name in names {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(object) = rustix::fs::openat(&staging, name.as_str(), flags, Mode::empty()) else { continue };
        if rustix::fs::flock(&object, FlockOperation::NonBlockingLockExclusive).is_ok() {
            tree::remove(staging.as_fd(), name.as_bytes()).map_err(internal)?;
        }
    }
    Ok(())
}
