//! Descriptors that the program was started with.

use std::os::fd::{FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Takes over an inherited descriptor (3 to 63), once, and makes it close-on-exec. To be called first in `main`, before
/// anything opens a descriptor of its own.
///
/// # Errors
/// `EBADF` if there is none; `EBUSY` if it was taken already.
pub fn take(number: i32) -> Result<OwnedFd, Errno> {
    if !(3..64).contains(&number) {
        return Err(Errno::BADF);
    }
    // SAFETY: F_SETFD takes a number and touches no memory; an unknown descriptor is answered with EBADF.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(Errno::BADF);
    }
    let bit = 1u64 << number;
    if TAKEN.fetch_or(bit, Ordering::SeqCst) & bit != 0 {
        return Err(Errno::BUSY);
    }
    // SAFETY: the descriptor is open, the caller asks before anything else of this program has opened one, and the mark
    // above sees to it that it is owned once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Gives free memory of the heap back to the kernel (`malloc_trim(3)`).
pub fn trim_heap() {
    // SAFETY: the allocator's own function; it may be called at any time.
    unsafe { libc::malloc_trim(0) };
}
