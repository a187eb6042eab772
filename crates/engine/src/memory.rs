//! Messages too long for a packet travel in memory files that nobody can change any more.

use std::io::Write as _;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags};

use crate::model::{Error, Result};

/// The bytes in a sealed memory file.
///
/// # Errors
/// If memory is short.
pub(crate) fn sealed(name: &str, bytes: &[u8]) -> Result<OwnedFd> {
    let failed = |errno: rustix::io::Errno| Error::internal(format!("memfd_create {name}: {errno}"));
    let memory = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).map_err(failed)?;
    let mut file = std::fs::File::from(memory);
    file.write_all(bytes).map_err(|error| Error::internal(format!("the {name} could not be written: {error}")))?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)
        .map_err(failed)?;
    Ok(file.into())
}
