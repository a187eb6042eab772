//! Rooted path lookup (`openat2(2)` with `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS`): a path from outside cannot leave.

use std::os::fd::{BorrowedFd, OwnedFd};

use crate::Result;

/// A directory below which every lookup stays, whatever links the tree holds.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// Takes over a directory descriptor (`O_PATH` is enough).
    #[must_use]
    pub const fn new(dir: OwnedFd) -> Self {
        Self(dir)
    }

    /// Opens a directory of the host by a trusted path.
    ///
    /// # Errors
    /// If it is no directory or cannot be opened.
    pub fn open_trusted(path: &std::path::Path) -> Result<Self> {
        let _ = path;
        todo!("rootfs")
    }

    /// The descriptor.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd as _;
        self.0.as_fd()
    }

    /// Opens a path inside with these flags; links are followed inside the root only.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(&self, path: &str, flags: rustix::fs::OFlags, mode: rustix::fs::Mode) -> Result<OwnedFd> {
        let _ = (path, flags, mode);
        todo!("rootfs")
    }

    /// Reads a whole file of at most `limit` bytes.
    ///
    /// # Errors
    /// The kernel's, or `EFBIG` for a larger one.
    pub fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>> {
        let _ = (path, limit);
        todo!("rootfs")
    }

    /// Makes a directory and its missing parents (mode 0755, owner: the caller), one component at a time inside the
    /// root; returns the last one opened `O_PATH`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create_dir_all(&self, path: &str) -> Result<OwnedFd> {
        let _ = path;
        todo!("rootfs")
    }

    /// Writes a file durably enough to survive `kill -9`: temporary name, write, optional `fdatasync`, rename.
    /// `name` is one component.
    ///
    /// # Errors
    /// The kernel's; on failure the temporary file is removed.
    pub fn replace(&self, name: &str, contents: &[u8], durable: Durability) -> Result<()> {
        let _ = (name, contents, durable);
        todo!("rootfs")
    }
}

/// What a written file must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The death of any process.
    Process,
    /// A power cut.
    Power,
}
