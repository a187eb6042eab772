//! Walking, measuring and removing directory trees by descriptor, without following links.
//!
//! The walk is a loop, not a recursion, and keeps a bounded number of directories open whatever the depth: the upper
//! ones are closed and opened again through `..` on the way back, which is accepted only if it leads to the very
//! directory that was left. Names come from the tree itself and are used as single components only.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::{Result, SysError};

/// How many directories of one walk are open at the same time.
const OPEN_LEVELS: usize = 64;

/// One object met on a walk.
#[derive(Debug)]
pub struct Visit<'a> {
    /// The directory it is in.
    pub parent: BorrowedFd<'a>,
    /// Its name there.
    pub name: &'a CStr,
    /// Path below the start, without a leading slash.
    pub path: &'a [u8],
    /// `lstat(2)` of it.
    pub stat: &'a Stat,
}

impl Visit<'_> {
    /// What kind of object it is.
    #[must_use]
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Opens the object itself, without following a link.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(&self, flags: OFlags) -> Result<OwnedFd> {
        rustix::fs::openat(self.parent, self.name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| SysError::new("openat", String::from_utf8_lossy(self.path), errno))
    }
}

/// What to do with a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descend {
    /// Visit what is in it.
    Yes,
    /// Leave it.
    No,
}

/// What is done on a walk.
pub trait Visitor {
    /// The error of the visitor.
    type Error: From<SysError>;

    /// Called for each object, a directory before its contents; the order of names in a directory is by bytes.
    ///
    /// # Errors
    /// Ends the walk.
    fn visit(&mut self, visit: &Visit<'_>) -> std::result::Result<Descend, Self::Error>;

    /// Called for a directory after its contents.
    ///
    /// # Errors
    /// Ends the walk.
    fn leave(&mut self, parent: BorrowedFd<'_>, name: &CStr, path: &[u8]) -> std::result::Result<(), Self::Error> {
        let _ = (parent, name, path);
        Ok(())
    }
}

struct Level {
    /// `None` while it is parked.
    dir: Option<OwnedFd>,
    identity: (u64, u64),
    names: std::vec::IntoIter<CString>,
    /// Its own name in the level above, and how long the path is without it.
    name: CString,
    path_len: usize,
}

/// Walks everything below `start` (a readable directory, not visited itself). Objects that vanish meanwhile are passed
/// over. Other mounts below it are not entered.
///
/// # Errors
/// The visitor's, the kernel's, or `ESTALE` if a directory was moved away while it was walked.
pub fn walk<V: Visitor>(start: BorrowedFd<'_>, visitor: &mut V) -> std::result::Result<(), V::Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::openat(start, ".", flags, Mode::empty())
        .map_err(|errno| SysError::new("openat", "start of the walk", errno))?;
    let mut path = Vec::new();
    let mut levels = vec![level(top, CString::default(), 0)?];
    while let Some(current) = levels.last_mut() {
        let Some(name) = current.names.next() else {
            leave_level(&mut levels, &mut path, visitor)?;
            continue;
        };
        let dir = opened(current)?;
        let stat = match rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            other => other.map_err(|errno| SysError::new("fstatat", name.to_string_lossy(), errno))?,
        };
        let path_len = path.len();
        if path_len > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        let descend = visitor.visit(&Visit { parent: dir, name: &name, path: &path, stat: &stat })?;
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let entered = if is_directory && descend == Descend::Yes { enter(dir, &name)? } else { None };
        match entered {
            Some(child) => push_level(&mut levels, level(child, name, path_len)?),
            None => path.truncate(path_len),
        }
    }
    Ok(())
}

fn push_level(levels: &mut Vec<Level>, child: Level) {
    levels.push(child);
    if levels.len() > OPEN_LEVELS {
        // The top stays open: `..` out of it would leave what we were given.
        let parked = levels.len() - OPEN_LEVELS;
        if let Some(level) = levels.get_mut(parked) {
            level.dir = None;
        }
    }
}

fn leave_level<V: Visitor>(
    levels: &mut Vec<Level>,
    path: &mut Vec<u8>,
    visitor: &mut V,
) -> std::result::Result<(), V::Error> {
    let Some(done) = levels.pop() else { return Ok(()) };
    let Some(parent) = levels.last_mut() else { return Ok(()) };
    if parent.dir.is_none() {
        parent.dir = Some(back(opened(&done)?, parent.identity, path)?);
    }
    visitor.leave(opened(parent)?, &done.name, path)?;
    path.truncate(done.path_len);
    Ok(())
}

fn opened(level: &Level) -> Result<BorrowedFd<'_>> {
    level.dir.as_ref().map(OwnedFd::as_fd).ok_or_else(|| SysError::new("walk", "closed level", Errno::BADF))
}

/// Opens the parent of a directory again and makes sure that it is the one we came from.
fn back(dir: BorrowedFd<'_>, identity: (u64, u64), path: &[u8]) -> Result<OwnedFd> {
    let error = |call, errno| SysError::new(call, String::from_utf8_lossy(path), errno);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let parent = rustix::fs::openat(dir, "..", flags, Mode::empty()).map_err(|errno| error("openat", errno))?;
    let stat = rustix::fs::fstat(&parent).map_err(|errno| error("fstat", errno))?;
    if (stat.st_dev, stat.st_ino) == identity { Ok(parent) } else { Err(error("openat", Errno::STALE)) }
}

/// Opens a directory that was just seen; `None` if it is gone or something else now, or the root of a mount: what is
/// mounted there is not part of the tree (`EXDEV` also tells a bind mount of the same file system).
fn enter(dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<OwnedFd>> {
    match open_directory(dir, name) {
        Ok(child) => Ok(Some(child)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
        Err(errno) => Err(SysError::new("openat2", name.to_string_lossy(), errno)),
    }
}

fn open_directory(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(dir, name, flags, Mode::empty(), resolve)
}

fn level(dir: OwnedFd, name: CString, path_len: usize) -> Result<Level> {
    let error = |call, errno| SysError::new(call, name.to_string_lossy(), errno);
    let stat = rustix::fs::fstat(&dir).map_err(|errno| error("fstat", errno))?;
    let mut names = Vec::new();
    for entry in Dir::read_from(&dir).map_err(|errno| error("getdents", errno))? {
        let entry = entry.map_err(|errno| error("getdents", errno))?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort();
    Ok(Level { dir: Some(dir), identity: (stat.st_dev, stat.st_ino), names: names.into_iter(), name, path_len })
}

/// How much a tree holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sum of the sizes of regular files and links; several names of one file count once.
    pub bytes: u64,
    /// Bytes that the file system set aside for it, directories included.
    pub allocated: u64,
    /// Number of objects.
    pub entries: u64,
}

/// Measures a tree.
///
/// # Errors
/// The kernel's.
pub fn usage(start: BorrowedFd<'_>) -> Result<Usage> {
    struct Measure {
        usage: Usage,
        seen: HashSet<(u64, u64)>,
    }
    impl Visitor for Measure {
        type Error = SysError;
        fn visit(&mut self, visit: &Visit<'_>) -> Result<Descend> {
            self.usage.entries += 1;
            let first = visit.stat.st_nlink < 2
                || visit.kind() == FileType::Directory
                || self.seen.insert((visit.stat.st_dev, visit.stat.st_ino));
            if first {
                self.usage.allocated += u64::try_from(visit.stat.st_blocks).unwrap_or(0) * 512;
                if matches!(visit.kind(), FileType::RegularFile | FileType::Symlink) {
                    self.usage.bytes += u64::try_from(visit.stat.st_size).unwrap_or(0);
                }
            }
            Ok(Descend::Yes)
        }
    }
    let mut measure = Measure { usage: Usage::default(), seen: HashSet::new() };
    walk(start, &mut measure)?;
    Ok(measure.usage)
}

/// Removes `name` below `dir`, whatever it is, with everything in it. A missing one is no error. Nothing outside is
/// touched: links are removed, not followed, and a mount below it stops the removal.
///
/// # Errors
/// The kernel's, for the first object that stays; `EBUSY` names a mount.
pub fn remove(dir: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    let name = crate::mount::c_name(name)?;
    match rustix::fs::unlinkat(dir, &name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(SysError::new("unlinkat", name.to_string_lossy(), errno)),
    }
    if let Some(top) = open_for_removal(dir, &name)? {
        walk(top.as_fd(), &mut Removal)?;
    }
    remove_directory(dir, &name)
}

/// Removes everything below `dir` but not the directory itself.
///
/// # Errors
/// As [`remove`].
pub fn clear(dir: BorrowedFd<'_>) -> Result<()> {
    walk(dir, &mut Removal)
}

struct Removal;

impl Visitor for Removal {
    type Error = SysError;

    fn visit(&mut self, visit: &Visit<'_>) -> Result<Descend> {
        if visit.kind() == FileType::Directory {
            open_for_removal(visit.parent, visit.name)?;
            return Ok(Descend::Yes);
        }
        match rustix::fs::unlinkat(visit.parent, visit.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(Descend::No),
            Err(errno) => Err(SysError::new("unlinkat", String::from_utf8_lossy(visit.path), errno)),
        }
    }

    fn leave(&mut self, parent: BorrowedFd<'_>, name: &CStr, _path: &[u8]) -> Result<()> {
        remove_directory(parent, name)
    }
}

fn remove_directory(parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(SysError::new("rmdir", name.to_string_lossy(), errno)),
    }
}

/// As [`enter`], but a mount is an error, and a directory that its owner may not read is made readable first.
fn open_for_removal(dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<OwnedFd>> {
    match open_directory(dir, name) {
        Ok(child) => return Ok(Some(child)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(Errno::ACCESS) => {}
        Err(Errno::XDEV) => return Err(SysError::new("remove", mounted(name), Errno::BUSY)),
        Err(errno) => return Err(SysError::new("openat2", name.to_string_lossy(), errno)),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let closed = rustix::fs::openat(dir, name, flags, Mode::empty())
        .map_err(|errno| SysError::new("openat", name.to_string_lossy(), errno))?;
    // chmod through the descriptor's own name: no lookup of `name` that could meet a link.
    rustix::fs::chmod(crate::mount::descriptor_path(closed.as_fd()), Mode::RWXU)
        .map_err(|errno| SysError::new("chmod", name.to_string_lossy(), errno))?;
    enter(dir, name)
}

fn mounted(name: &CStr) -> String {
    format!("{} (something is mounted there)", name.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn open(path: &std::path::Path) -> std::fs::File {
        std::fs::File::open(path).unwrap()
    }

    #[test]
    fn removes_hostile_trees_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let keep = dir.path().join("keep");
        std::fs::create_dir(&keep).unwrap();
        std::fs::write(keep.join("f"), "x").unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b/closed/inner")).unwrap();
        symlink(&keep, tree.join("a/link")).unwrap();
        symlink("../../../keep", tree.join("a/b/up")).unwrap();
        std::fs::write(tree.join("a/b/\u{1}\n -rf"), "").unwrap();
        std::fs::set_permissions(tree.join("a/b/closed"), std::fs::Permissions::from_mode(0o000)).unwrap();
        let fd = open(dir.path());
        remove(fd.as_fd(), b"tree").unwrap();
        remove(fd.as_fd(), b"tree").unwrap();
        assert!(!tree.exists() && keep.join("f").exists());
        symlink(&keep, dir.path().join("alias")).unwrap();
        remove(fd.as_fd(), b"alias").unwrap();
        assert!(keep.join("f").exists());
    }

    #[test]
    fn depth_beyond_path_max_and_descriptor_limits_is_removed_and_measured() {
        let dir = tempfile::tempdir().unwrap();
        let mut here = OwnedFd::from(open(dir.path()));
        rustix::fs::mkdirat(&here, "top", Mode::RWXU).unwrap();
        let mut name = "top";
        for _ in 0..1500 {
            here = rustix::fs::openat(&here, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
            name = "a-name-of-some-length";
            rustix::fs::mkdirat(&here, name, Mode::RWXU).unwrap();
        }
        drop(here);
        let fd = open(dir.path());
        assert_eq!(usage(fd.as_fd()).unwrap().entries, 1501);
        remove(fd.as_fd(), b"top").unwrap();
        assert!(!dir.path().join("top").exists());
    }

    #[test]
    fn usage_counts_hard_links_once_and_order_is_by_bytes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("b"), vec![1; 1000]).unwrap();
        std::fs::hard_link(dir.path().join("b"), dir.path().join("a")).unwrap();
        std::fs::create_dir(dir.path().join("B")).unwrap();
        std::fs::write(dir.path().join("B/z"), "12345").unwrap();
        let fd = open(dir.path());
        let measured = usage(fd.as_fd()).unwrap();
        assert_eq!((measured.bytes, measured.entries), (1005, 4));

        struct Names(Vec<String>);
        impl Visitor for Names {
            type Error = SysError;
            fn visit(&mut self, visit: &Visit<'_>) -> Result<Descend> {
                self.0.push(String::from_utf8_lossy(visit.path).into_owned());
                Ok(Descend::Yes)
            }
            fn leave(&mut self, _: BorrowedFd<'_>, _: &CStr, path: &[u8]) -> Result<()> {
                self.0.push(format!("-{}", String::from_utf8_lossy(path)));
                Ok(())
            }
        }
        let mut names = Names(Vec::new());
        walk(fd.as_fd(), &mut names).unwrap();
        assert_eq!(names.0, ["B", "B/z", "-B", "a", "b"]);
    }

    #[test]
    fn a_mount_below_stops_the_removal() {
        if !crate::mount::tests::root() {
            return;
        }
        use crate::mount::{Filesystem, MountAttrFlags, attach, unmount};
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("t/m")).unwrap();
        let mount = Filesystem::open("tmpfs").unwrap().create().unwrap().mount(MountAttrFlags::empty()).unwrap();
        rustix::fs::mkdirat(&mount, "precious", Mode::RWXU).unwrap();
        attach(mount.as_fd(), open(&dir.path().join("t/m")).as_fd()).unwrap();
        let fd = open(dir.path());
        assert_eq!(remove(fd.as_fd(), b"t").unwrap_err().raw(), libc::EBUSY);
        assert!(dir.path().join("t/m/precious").exists());
        unmount(&dir.path().join("t/m"), true).unwrap();
        drop(mount);
        remove(fd.as_fd(), b"t").unwrap();
    }
}
