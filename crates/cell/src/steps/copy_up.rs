//! Fills a new tmpfs with what it is going to cover. Part of `foreign-mounts`.
//!
//! Names come from the image and are used as single components, links are copied and never followed, and the tmpfs's own
//! size bounds what is copied.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bulkhead_sys::SysError;
use bulkhead_sys::tree::{self, Descend, Visit, Visitor};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::foreign_mounts::readable;
use crate::scene::{Outcome, Trouble};

pub(super) fn run(source: &OwnedFd, made: &OwnedFd) -> Outcome {
    let start = readable(source)?;
    let top = rustix::fs::fstat(&start).map_err(|errno| Trouble::new("fstat", "tmpcopyup", errno))?;
    let target = readable(made)?;
    own(target.as_fd(), &top)?;
    let mut copy = Copy { target };
    Ok(tree::walk(start.as_fd(), &mut copy)?)
}

struct Copy {
    target: OwnedFd,
}

impl Visitor for Copy {
    type Error = SysError;

    fn visit(&mut self, visit: &Visit<'_>) -> Result<Descend, SysError> {
        let path = CString::new(visit.path).map_err(|_| SysError::new("copy", "name", Errno::INVAL))?;
        let name = || String::from_utf8_lossy(visit.path).into_owned();
        let fail = |call: &'static str| move |errno| SysError::new(call, name(), errno);
        let mode = Mode::from_raw_mode(visit.stat.st_mode & 0o7777);
        let kind = visit.kind();
        match kind {
            FileType::Directory => {
                rustix::fs::mkdirat(&self.target, &path, mode).map_err(fail("mkdirat"))?;
            }
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(visit.parent, visit.name, Vec::new()).map_err(fail("readlinkat"))?;
                rustix::fs::symlinkat(link, &self.target, &path).map_err(fail("symlinkat"))?;
            }
            FileType::RegularFile => {
                let from = visit.open(OFlags::RDONLY)?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                let to = rustix::fs::openat(&self.target, &path, flags, mode).map_err(fail("openat"))?;
                while rustix::fs::sendfile(&to, &from, None, 1 << 20).map_err(fail("sendfile"))? > 0 {}
            }
            FileType::Unknown | FileType::Socket => return Ok(Descend::No),
            _ => rustix::fs::mknodat(&self.target, &path, kind, mode, visit.stat.st_rdev).map_err(fail("mknodat"))?,
        }
        let (uid, gid) = (Uid::from_raw(visit.stat.st_uid), Gid::from_raw(visit.stat.st_gid));
        rustix::fs::chownat(&self.target, &path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(fail("fchownat"))?;
        if kind != FileType::Symlink {
            rustix::fs::chmodat(&self.target, &path, mode, AtFlags::empty()).map_err(fail("fchmodat"))?;
        }
        Ok(Descend::Yes)
    }
}

fn own(target: BorrowedFd<'_>, like: &rustix::fs::Stat) -> Outcome {
    let fail = |errno| Trouble::new("fchown", "tmpcopyup", errno);
    rustix::fs::fchown(target, Some(Uid::from_raw(like.st_uid)), Some(Gid::from_raw(like.st_gid))).map_err(fail)?;
    rustix::fs::fchmod(target, Mode::from_raw_mode(like.st_mode & 0o7777)).map_err(fail)
}
