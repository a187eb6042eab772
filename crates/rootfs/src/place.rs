//! Where the store keeps what: two directories held open, and the rules that follow from who we are.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bulkhead_sys::{SysError, idmap, mount};
use bulkhead_types::{ErrorClass, IdMap};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::model::Error;

/// Below `<root>` the layers' images, below `<run>` their mount points.
pub const LAYERS: &str = "layers";
/// Below `<root>` the volumes; below `<run>` the mounts of those that live in memory.
pub const VOLUMES: &str = "volumes";

/// The two directories of a store.
#[derive(Debug)]
pub struct Place {
    /// `<root>`: survives a reboot.
    pub root: PathBuf,
    /// `<run>`: a tmpfs.
    pub run: PathBuf,
    root_dir: OwnedFd,
    run_dir: OwnedFd,
    /// We live in a user namespace: no idmapped mounts, no EROFS; ids on disk are shifted instead.
    pub rootless: bool,
    /// Detached mounts that were needed to make another one and are not any more. Closing one waits until no processor
    /// looks at it, so that is put off until the container runs ([`Place::settle`]).
    spent: Mutex<Vec<OwnedFd>>,
    /// The namespace of the last map that was asked for; one container asks for the same one several times.
    namespace: Mutex<Option<(IdMap, OwnedFd)>>,
}

impl Place {
    /// Opens (creating, 0700) both directories.
    ///
    /// # Errors
    /// If they cannot be made, or others may write to them.
    pub fn open(root: &Path, run: &Path) -> Result<Self, Error> {
        let root_dir = open_or_create(root)?;
        let run_dir = open_or_create(run)?;
        let rootless = idmap::is_mapped()?;
        let (root, run) = (root.to_path_buf(), run.to_path_buf());
        Ok(Self { root, run, root_dir, run_dir, rootless, spent: Mutex::default(), namespace: Mutex::new(None) })
    }

    /// `<root>/name`, made if missing (0700).
    ///
    /// # Errors
    /// The kernel's.
    pub fn dir(&self, name: &str) -> Result<OwnedFd, Error> {
        Ok(subdirectory(self.root_dir.as_fd(), name)?)
    }

    /// `<run>/name`, made if missing (0700).
    ///
    /// # Errors
    /// The kernel's.
    pub fn run_dir(&self, name: &str) -> Result<OwnedFd, Error> {
        Ok(subdirectory(self.run_dir.as_fd(), name)?)
    }

    /// The two directories themselves.
    #[must_use]
    pub fn tops(&self) -> [BorrowedFd<'_>; 2] {
        [self.root_dir.as_fd(), self.run_dir.as_fd()]
    }

    /// Puts mounts aside that are not needed any more.
    pub fn put_aside(&self, mounts: impl IntoIterator<Item = OwnedFd>) {
        self.spent.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(mounts);
    }

    /// Closes what was put aside.
    pub fn settle(&self) {
        self.spent.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }

    /// Puts an idmap on a detached mount: ids on disk are the container's, ids seen are the host's.
    ///
    /// # Errors
    /// If the file system does not support it.
    pub fn idmap(&self, tree: BorrowedFd<'_>, ids: &IdMap, recursive: bool) -> Result<(), SysError> {
        let mut cached = self.namespace.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let namespace = match cached.take() {
            Some((map, namespace)) if map == *ids => namespace,
            _ => idmap::namespace_with_map(&ids.to_proc(), &ids.to_proc())?,
        };
        let change = mount::Change { idmap: Some(namespace.as_fd()), ..mount::Change::default() };
        let result = mount::change(tree, &change, recursive);
        *cached = Some((ids.clone(), namespace));
        result
    }
}

/// Refuses anything but one harmless path component.
///
/// # Errors
/// Invalid.
pub fn component(name: &str) -> Result<&str, Error> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) || name.len() > 200 {
        return Err(Error::new(ErrorClass::Invalid, format!("{name:?} cannot be the name of a thing in the store")));
    }
    Ok(name)
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens `name` below `dir`, made if missing (0700).
///
/// # Errors
/// The kernel's.
pub fn subdirectory(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, SysError> {
    match existing(dir, name)? {
        Some(found) => Ok(found),
        None => {
            match rustix::fs::mkdirat(dir, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(SysError::new("mkdirat", name, errno)),
            }
            rustix::fs::openat(dir, name, DIRECTORY, Mode::empty())
                .map_err(|errno| SysError::new("openat", name, errno))
        }
    }
}

/// Opens the directory `name` below `dir`, if there is one.
///
/// # Errors
/// The kernel's.
pub fn existing(dir: BorrowedFd<'_>, name: &str) -> Result<Option<OwnedFd>, SysError> {
    match rustix::fs::openat(dir, name, DIRECTORY, Mode::empty()) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(SysError::new("openat", name, errno)),
    }
}

/// Names in a directory, without hidden ones, in order.
///
/// # Errors
/// The kernel's.
pub fn names(dir: BorrowedFd<'_>) -> Result<Vec<String>, SysError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let error = |errno| SysError::new("getdents", "store", errno);
    let open = rustix::fs::openat(dir, ".", flags, Mode::empty()).map_err(error)?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(open).map_err(error)? {
        let entry = entry.map_err(error)?;
        let name = entry.file_name().to_string_lossy();
        if !name.starts_with('.') {
            names.push(name.into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn open_or_create(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            make_all(path)?;
            rustix::fs::open(path, flags, Mode::empty())
        }
        other => other,
    }
    .map_err(|errno| describe(path, errno.into()))?;
    let stat = rustix::fs::fstat(&dir).map_err(|errno| describe(path, errno.into()))?;
    if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o022 != 0 {
        let message = format!(
            "{} belongs to user {} with mode {:o}: others could change it. Give it to the user that runs Bulkhead \
             (chown) and close it (chmod 0700), or choose another directory",
            path.display(),
            stat.st_uid,
            stat.st_mode & 0o7777
        );
        return Err(Error::new(ErrorClass::Denied, message));
    }
    Ok(dir)
}

fn make_all(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| describe(path, error))
}

fn describe(path: &Path, error: std::io::Error) -> Error {
    let class = match error.kind() {
        std::io::ErrorKind::PermissionDenied => ErrorClass::Denied,
        _ => ErrorClass::Internal,
    };
    let cure = "run as root, or as an ordinary user with directories of your own (--root, --run)";
    Error::new(class, format!("the store directory {} cannot be opened: {error}; {cure}", path.display()))
}
