//! `flock(2)` on whole files: the proof that a holder lives, released by the kernel at its death.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::{Result, SysError};

/// A held lock. Dropping it releases it.
#[derive(Debug)]
pub struct Lock(OwnedFd);

impl Lock {
    /// Opens (creating, 0600) `name` below `dir` and locks it exclusively, waiting.
    ///
    /// # Errors
    /// If the file cannot be opened or locked.
    pub fn exclusive(dir: BorrowedFd<'_>, name: &str) -> Result<Self> {
        Self::wait(dir, name, FlockOperation::LockExclusive)
    }

    /// As [`Lock::exclusive`], shared.
    ///
    /// # Errors
    /// If the file cannot be opened or locked.
    pub fn shared(dir: BorrowedFd<'_>, name: &str) -> Result<Self> {
        Self::wait(dir, name, FlockOperation::LockShared)
    }

    /// As [`Lock::exclusive`] without waiting: `None` if somebody holds it.
    ///
    /// # Errors
    /// If the file cannot be opened or locked for another reason.
    pub fn try_exclusive(dir: BorrowedFd<'_>, name: &str) -> Result<Option<Self>> {
        let file = open(dir, name)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(SysError::new("flock", name, errno)),
        }
    }

    /// The descriptor, to hand the lock to another process (the lock belongs to the open file description).
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    fn wait(dir: BorrowedFd<'_>, name: &str, operation: FlockOperation) -> Result<Self> {
        let file = open(dir, name)?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, operation))
            .map_err(|errno| SysError::new("flock", name, errno))?;
        Ok(Self(file))
    }
}

fn open(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| SysError::new("openat", name, errno))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_lock_is_exclusive_until_dropped_and_shared_locks_agree() {
        let dir = tempfile::tempdir().unwrap();
        let fd = std::fs::File::open(dir.path()).unwrap();
        let held = Lock::exclusive(fd.as_fd(), "a").unwrap();
        assert!(Lock::try_exclusive(fd.as_fd(), "a").unwrap().is_none());
        drop(held);
        let first = Lock::shared(fd.as_fd(), "a").unwrap();
        let second = Lock::shared(fd.as_fd(), "a").unwrap();
        assert!(Lock::try_exclusive(fd.as_fd(), "a").unwrap().is_none());
        drop((first, second));
        assert!(Lock::try_exclusive(fd.as_fd(), "a").unwrap().is_some());
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("a")).unwrap();
        let fd = std::fs::File::open(dir.path()).unwrap();
        assert!(Lock::exclusive(fd.as_fd(), "a").is_err());
    }
}
