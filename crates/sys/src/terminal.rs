//! Pseudo terminals from a devpts that is given, never from the host's by name.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::{Result, SysError};

/// `DEVPTS_SUPER_MAGIC` of `linux/magic.h`.
const DEVPTS_MAGIC: u64 = 0x1cd1;

/// Both ends of a new terminal.
#[derive(Debug)]
pub struct Terminal {
    /// The end that controls.
    pub controller: OwnedFd,
    /// The end that a program reads and writes.
    pub line: OwnedFd,
}

/// Opens a new terminal of the devpts whose root directory is given; that it is a devpts is checked. The line end comes
/// from `TIOCGPTPEER`, so that nothing in the tree can stand in for it (CVE-2016-2779 and its kind).
///
/// # Errors
/// `EINVAL` if the directory is no devpts; `ENOSPC` if its terminals are used up; else the kernel's.
pub fn open(devpts: BorrowedFd<'_>) -> Result<Terminal> {
    let kind = rustix::fs::fstatfs(devpts).map_err(|errno| SysError::new("fstatfs", "/dev/pts", errno))?;
    if u64::try_from(kind.f_type) != Ok(DEVPTS_MAGIC) {
        return Err(SysError::new("fstatfs", "/dev/pts is no devpts", Errno::INVAL));
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let controller = rustix::fs::openat(devpts, "ptmx", flags, Mode::empty())
        .map_err(|errno| SysError::new("openat", "/dev/pts/ptmx", errno))?;
    rustix::pty::unlockpt(&controller).map_err(|errno| SysError::new("ioctl", "TIOCSPTLCK", errno))?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let line = rustix::pty::ioctl_tiocgptpeer(controller.as_fd(), flags)
        .map_err(|errno| SysError::new("ioctl", "TIOCGPTPEER", errno))?;
    Ok(Terminal { controller, line })
}

/// Sets the size in rows and columns.
///
/// # Errors
/// The kernel's.
pub fn set_size(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size).map_err(|errno| SysError::new("ioctl", "TIOCSWINSZ", errno))
}

/// Makes a terminal the controlling one of this session, whose leader we are.
///
/// # Errors
/// The kernel's.
pub fn take_control(line: BorrowedFd<'_>) -> Result<()> {
    rustix::process::ioctl_tiocsctty(line).map_err(|errno| SysError::new("ioctl", "TIOCSCTTY", errno))
}
