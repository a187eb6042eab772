//! Signal masks and signalfd, which rustix leaves out.

use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd as _, OwnedFd};

use rustix::io::Errno;

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

fn set_of(signals: &[i32]) -> Result<libc::sigset_t, Errno> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` writes the whole of the set it is given and cannot fail for a valid pointer, which this is.
    let mut set = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    };
    for &signal in signals {
        // SAFETY: the set was initialised above; a bad number is answered with -1.
        if unsafe { libc::sigaddset(&raw mut set, signal) } != 0 {
            return Err(Errno::INVAL);
        }
    }
    Ok(set)
}

/// `sigprocmask(SIG_BLOCK)` of the calling thread.
///
/// # Errors
/// `EINVAL` for a number that is no signal.
pub fn block(signals: &[i32]) -> Result<(), Errno> {
    let set = set_of(signals)?;
    // SAFETY: the set lives across the call; the old one is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(()),
        errno => Err(Errno::from_raw_os_error(errno)),
    }
}

/// `signalfd4(2)`, close-on-exec and non-blocking.
///
/// # Errors
/// The kernel's.
pub fn signalfd(signals: &[i32]) -> Result<OwnedFd, Errno> {
    let set = set_of(signals)?;
    // SAFETY: the set lives across the call; -1 asks for a new descriptor.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(last());
    }
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `pthread_kill(3)` to the calling thread.
///
/// # Errors
/// `EINVAL` for a number that is no signal.
#[cfg(test)]
pub fn send_to_self(signal: i32) -> Result<(), Errno> {
    // SAFETY: the calling thread exists.
    match unsafe { libc::pthread_kill(libc::pthread_self(), signal) } {
        0 => Ok(()),
        errno => Err(Errno::from_raw_os_error(errno)),
    }
}
