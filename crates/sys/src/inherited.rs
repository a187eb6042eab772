//! What a program finds at its start, and leaves behind of it.

use std::os::fd::OwnedFd;

use crate::{Result, SysError, raw};

pub use crate::raw::inherited::trim_heap;

/// Takes over an inherited descriptor (3 to 63), once; close-on-exec from then on. To be called first in `main`.
///
/// # Errors
/// `EBADF` if there is none; `EBUSY` if it was taken already.
pub fn take(number: i32) -> Result<OwnedFd> {
    raw::inherited::take(number).map_err(|errno| SysError::new("fcntl", format!("descriptor {number}"), errno))
}
