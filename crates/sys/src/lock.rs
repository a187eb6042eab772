//! `flock(2)` on whole files: the proof that a holder lives, released by the kernel at its death.

use std::os::fd::{BorrowedFd, OwnedFd};

use crate::Result;

/// A held lock. Dropping it releases it.
#[derive(Debug)]
pub struct Lock(OwnedFd);

impl Lock {
    /// Opens (creating, 0600) `name` below `dir` and locks it exclusively, waiting.
    ///
    /// # Errors
    /// If the file cannot be opened or locked.
    pub fn exclusive(dir: BorrowedFd<'_>, name: &str) -> Result<Self> {
        let _ = (dir, name);
        todo!("rootfs")
    }

    /// As [`Lock::exclusive`], shared.
    ///
    /// # Errors
    /// If the file cannot be opened or locked.
    pub fn shared(dir: BorrowedFd<'_>, name: &str) -> Result<Self> {
        let _ = (dir, name);
        todo!("rootfs")
    }

    /// As [`Lock::exclusive`] without waiting: `None` if somebody holds it.
    ///
    /// # Errors
    /// If the file cannot be opened or locked for another reason.
    pub fn try_exclusive(dir: BorrowedFd<'_>, name: &str) -> Result<Option<Self>> {
        let _ = (dir, name);
        todo!("rootfs")
    }

    /// The descriptor, to hand the lock to another process (the lock belongs to the open file description).
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}
