//! Copying a tree with its owners translated: a volume's first content, and (rootless) a layer for another range.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bulkhead_sys::SysError;
use bulkhead_sys::tree::{self, Descend, Visit, Visitor};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::attributes;
use crate::model::Error;

/// Each level of the copy is one open directory; images are far flatter.
const DEEPEST: usize = 400;

/// Copies everything below `from` into the directory `to`, and the owner, mode and attributes of `from` itself.
/// Content, owners through `translate`, modes, times, hard links and extended attributes are kept; sockets are not.
///
/// # Errors
/// The kernel's, or a tree that is too deep.
pub fn tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>, translate: &dyn Fn(u32) -> u32) -> Result<(), Error> {
    let stat = rustix::fs::fstat(from).map_err(|errno| SysError::new("fstat", "copy", errno))?;
    let top = open_directory(to, c".")?;
    let mut copy = Copy { translate, levels: vec![Level { dir: top, stat }], links: HashMap::new() };
    let source = open_directory(from, c".")?;
    attributes::copy(source.as_fd(), copy.here()?)?;
    tree::walk(from, &mut copy)?;
    copy.close_to(0)
}

struct Level {
    dir: OwnedFd,
    /// Of the directory that it is a copy of.
    stat: Stat,
}

struct Copy<'a> {
    translate: &'a dyn Fn(u32) -> u32,
    levels: Vec<Level>,
    /// First copy of a file with several names.
    links: HashMap<(u64, u64), Vec<u8>>,
}

impl Visitor for Copy<'_> {
    type Error = Error;

    fn visit(&mut self, visit: &Visit<'_>) -> Result<Descend, Error> {
        self.close_to(visit.path.iter().filter(|byte| **byte == b'/').count() + 1)?;
        match visit.kind() {
            FileType::Directory => self.directory(visit)?,
            FileType::Socket => {}
            _ if self.link(visit)? => {}
            FileType::RegularFile => self.file(visit)?,
            kind => self.special(visit, kind)?,
        }
        Ok(Descend::Yes)
    }
}

impl Copy<'_> {
    fn here(&self) -> Result<BorrowedFd<'_>, Error> {
        let level = self.levels.last().ok_or_else(|| SysError::new("copy", "no directory", Errno::BADF))?;
        Ok(level.dir.as_fd())
    }

    /// Ends the directories below this depth. Owner, mode and times come last: filling a directory changes its times,
    /// and its mode may forbid filling it.
    fn close_to(&mut self, depth: usize) -> Result<(), Error> {
        while self.levels.len() > depth {
            let Some(level) = self.levels.pop() else { break };
            self.finish(level.dir.as_fd(), &level.stat)?;
        }
        Ok(())
    }

    fn finish(&self, object: BorrowedFd<'_>, stat: &Stat) -> Result<(), Error> {
        let error = |call| move |errno| SysError::new(call, "copy", errno);
        let (uid, gid) = self.owner(stat);
        rustix::fs::fchown(object, Some(uid), Some(gid)).map_err(error("fchown"))?;
        rustix::fs::fchmod(object, Mode::from_raw_mode(stat.st_mode & 0o7777)).map_err(error("fchmod"))?;
        Ok(rustix::fs::futimens(object, &times(stat)).map_err(error("futimens"))?)
    }

    fn owner(&self, stat: &Stat) -> (Uid, Gid) {
        (Uid::from_raw((self.translate)(stat.st_uid)), Gid::from_raw((self.translate)(stat.st_gid)))
    }

    fn directory(&mut self, visit: &Visit<'_>) -> Result<(), Error> {
        if self.levels.len() >= DEEPEST {
            return Err(SysError::new("copy", "a tree of more than 400 levels", Errno::NAMETOOLONG).into());
        }
        let here = self.here()?;
        rustix::fs::mkdirat(here, visit.name, Mode::RWXU).map_err(|errno| failed("mkdirat", visit, errno))?;
        let dir = open_directory(here, visit.name)?;
        let source = visit.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
        attributes::copy(source.as_fd(), dir.as_fd())?;
        self.levels.push(Level { dir, stat: *visit.stat });
        Ok(())
    }

    fn file(&mut self, visit: &Visit<'_>) -> Result<(), Error> {
        let source = visit.open(OFlags::RDONLY | OFlags::NONBLOCK)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = rustix::fs::openat(self.here()?, visit.name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| failed("openat", visit, errno))?;
        let (mut source, mut target) = (std::fs::File::from(source), std::fs::File::from(target));
        std::io::copy(&mut source, &mut target)
            .map_err(|error| SysError::new("copy", String::from_utf8_lossy(visit.path), error))?;
        // Owner first: changing it clears file capabilities and the set-id bits.
        let (uid, gid) = self.owner(visit.stat);
        rustix::fs::fchown(&target, Some(uid), Some(gid)).map_err(|errno| failed("fchown", visit, errno))?;
        attributes::copy(source.as_fd(), target.as_fd())?;
        let mode = Mode::from_raw_mode(visit.stat.st_mode & 0o7777);
        rustix::fs::fchmod(&target, mode).map_err(|errno| failed("fchmod", visit, errno))?;
        rustix::fs::futimens(&target, &times(visit.stat)).map_err(|errno| failed("futimens", visit, errno))?;
        Ok(())
    }

    /// A further name of a file that was copied already. True if it was one.
    fn link(&mut self, visit: &Visit<'_>) -> Result<bool, Error> {
        if visit.stat.st_nlink < 2 {
            return Ok(false);
        }
        let key = (visit.stat.st_dev, visit.stat.st_ino);
        let Some(first) = self.links.get(&key) else {
            self.links.insert(key, visit.path.to_vec());
            return Ok(false);
        };
        // The copy is ours alone, so its names lead where we put them.
        let top = self.levels.first().ok_or_else(|| SysError::new("copy", "no directory", Errno::BADF))?;
        rustix::fs::linkat(&top.dir, first.as_slice(), self.here()?, visit.name, AtFlags::empty())
            .map_err(|errno| failed("linkat", visit, errno))?;
        Ok(true)
    }

    fn special(&mut self, visit: &Visit<'_>, kind: FileType) -> Result<(), Error> {
        let here = self.here()?;
        if kind == FileType::Symlink {
            let target = rustix::fs::readlinkat(visit.parent, visit.name, Vec::new())
                .map_err(|errno| failed("readlinkat", visit, errno))?;
            rustix::fs::symlinkat(target, here, visit.name).map_err(|errno| failed("symlinkat", visit, errno))?;
        } else {
            // Whiteouts of layers among them: 0:0 may be made by anybody.
            let mode = Mode::from_raw_mode(visit.stat.st_mode & 0o7777);
            rustix::fs::mknodat(here, visit.name, kind, mode, visit.stat.st_rdev)
                .map_err(|errno| failed("mknodat", visit, errno))?;
        }
        let (uid, gid) = self.owner(visit.stat);
        rustix::fs::chownat(here, visit.name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failed("fchownat", visit, errno))?;
        rustix::fs::utimensat(here, visit.name, &times(visit.stat), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failed("utimensat", visit, errno))?;
        Ok(())
    }
}

fn failed(call: &'static str, visit: &Visit<'_>, errno: Errno) -> SysError {
    SysError::new(call, String::from_utf8_lossy(visit.path), errno)
}

fn open_directory(dir: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<OwnedFd, SysError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
        .map_err(|errno| SysError::new("openat", name.to_string_lossy(), errno))
}

fn times(stat: &Stat) -> Timestamps {
    let last_access = Timespec { tv_sec: stat.st_atime, tv_nsec: i64::try_from(stat.st_atime_nsec).unwrap_or(0) };
    let last_modification = Timespec { tv_sec: stat.st_mtime, tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or(0) };
    Timestamps { last_access, last_modification }
}

/// Gives everything below `top`, and `top` itself, the owners that `translate` says. Set-id bits and file capabilities
/// are put back, because changing an owner clears them.
///
/// # Errors
/// The kernel's.
pub fn change_owners(top: BorrowedFd<'_>, translate: &dyn Fn(u32) -> u32) -> Result<(), Error> {
    struct Owners<'a> {
        translate: &'a dyn Fn(u32) -> u32,
        /// Files with several names that are done.
        done: HashSet<(u64, u64)>,
    }
    impl Visitor for Owners<'_> {
        type Error = Error;
        fn visit(&mut self, visit: &Visit<'_>) -> Result<Descend, Error> {
            let single = visit.kind() == FileType::Directory || visit.stat.st_nlink < 2;
            if !single && !self.done.insert((visit.stat.st_dev, visit.stat.st_ino)) {
                return Ok(Descend::Yes);
            }
            let (uid, gid) = ((self.translate)(visit.stat.st_uid), (self.translate)(visit.stat.st_gid));
            if (uid, gid) != (visit.stat.st_uid, visit.stat.st_gid) {
                rewrite(visit, Uid::from_raw(uid), Gid::from_raw(gid))?;
            }
            Ok(Descend::Yes)
        }
    }
    let stat = rustix::fs::fstat(top).map_err(|errno| SysError::new("fstat", "owners", errno))?;
    let (uid, gid) = (Uid::from_raw(translate(stat.st_uid)), Gid::from_raw(translate(stat.st_gid)));
    rustix::fs::chownat(top, ".", Some(uid), Some(gid), AtFlags::empty())
        .map_err(|errno| SysError::new("fchownat", "owners", errno))?;
    tree::walk(top, &mut Owners { translate, done: HashSet::new() })
}

fn rewrite(visit: &Visit<'_>, uid: Uid, gid: Gid) -> Result<(), Error> {
    if !matches!(visit.kind(), FileType::RegularFile | FileType::Directory) {
        return Ok(rustix::fs::chownat(visit.parent, visit.name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failed("fchownat", visit, errno))?);
    }
    let object = visit.open(OFlags::RDONLY | OFlags::NONBLOCK)?;
    let kept = attributes::read(object.as_fd())?;
    rustix::fs::fchown(&object, Some(uid), Some(gid)).map_err(|errno| failed("fchown", visit, errno))?;
    let mode = Mode::from_raw_mode(visit.stat.st_mode & 0o7777);
    rustix::fs::fchmod(&object, mode).map_err(|errno| failed("fchmod", visit, errno))?;
    for (name, value) in kept.iter().filter(|(name, _)| name.starts_with(b"security.")) {
        rustix::fs::fsetxattr(&object, name.as_slice(), value, XattrFlags::empty())
            .map_err(|errno| failed("fsetxattr", visit, errno))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn a_copy_is_equal_but_for_its_owners() {
        if !crate::testing::root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::create_dir_all(from.join("a/b")).unwrap();
        std::fs::create_dir(&to).unwrap();
        std::fs::write(from.join("a/f"), "content").unwrap();
        std::fs::set_permissions(from.join("a/f"), std::fs::Permissions::from_mode(0o4751)).unwrap();
        std::fs::hard_link(from.join("a/f"), from.join("a/b/hard")).unwrap();
        std::os::unix::fs::symlink("/etc/shadow", from.join("a/link")).unwrap();
        rustix::fs::lsetxattr(from.join("a/f"), "user.k", b"v", XattrFlags::empty()).unwrap();
        std::fs::set_permissions(from.join("a/b"), std::fs::Permissions::from_mode(0o555)).unwrap();
        let open = |path: &std::path::Path| std::fs::File::open(path).unwrap();
        tree(open(&from).as_fd(), open(&to).as_fd(), &|id| id + 7000).unwrap();
        let file = std::fs::metadata(to.join("a/f")).unwrap();
        assert_eq!((file.uid(), file.mode() & 0o7777, file.nlink()), (7000, 0o4751, 2));
        assert_eq!(std::fs::metadata(to.join("a/b/hard")).unwrap().ino(), file.ino());
        assert_eq!(file.mtime(), std::fs::metadata(from.join("a/f")).unwrap().mtime());
        assert_eq!(std::fs::read_link(to.join("a/link")).unwrap().to_str(), Some("/etc/shadow"));
        let mut value = [0; 8];
        assert_eq!(rustix::fs::lgetxattr(to.join("a/f"), "user.k", &mut value).unwrap(), 1);
        assert_eq!(std::fs::metadata(to.join("a/b")).unwrap().mode() & 0o777, 0o555);
        change_owners(open(&to).as_fd(), &|id| id - 6000).unwrap();
        let file = std::fs::metadata(to.join("a/f")).unwrap();
        assert_eq!((file.uid(), file.mode() & 0o7777), (1000, 0o4751));
        assert_eq!(std::fs::symlink_metadata(to.join("a/link")).unwrap().uid(), 1000);
        assert_eq!(std::fs::metadata(&to).unwrap().uid(), 1000);
    }
}
