//! Processes by pidfd, the moment they were started, and copies of our own executable that nobody can change.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use crate::raw::process as raw;
use crate::{Result, SysError};

pub use raw::{close_everything, default_signals, exit_now, next_signal, set_signal_mask};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By `exit` with this code.
    Code(u8),
    /// By this signal.
    Signal(u8),
}

/// Opens a pidfd of a process by number.
///
/// # Errors
/// `ESRCH` if there is none.
pub fn open(pid: u32) -> Result<OwnedFd> {
    let fail = |errno| SysError::new("pidfd_open", pid.to_string(), errno);
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| fail(Errno::SRCH))?;
    rustix::process::pidfd_open(number, PidfdFlags::empty()).map_err(fail)
}

/// Sends a signal, real-time signals included.
///
/// # Errors
/// `ESRCH` if the process is gone.
pub fn signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    raw::pidfd_send_signal(pidfd, signal).map_err(|errno| SysError::new("pidfd_send_signal", signal.to_string(), errno))
}

/// Waits for the end of a child of ours and reaps it.
///
/// # Errors
/// `ECHILD` if it is not our child or was reaped already.
pub fn wait(pidfd: BorrowedFd<'_>) -> Result<Ended> {
    match collect(pidfd, WaitIdOptions::EXITED)? {
        Some(ended) => Ok(ended),
        None => Err(SysError::new("waitid", "pidfd", Errno::AGAIN)),
    }
}

/// As [`wait`], without waiting: `None` while it runs.
///
/// # Errors
/// `ECHILD` if it is not our child or was reaped already.
pub fn try_wait(pidfd: BorrowedFd<'_>) -> Result<Option<Ended>> {
    collect(pidfd, WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
}

fn collect(pidfd: BorrowedFd<'_>, options: WaitIdOptions) -> Result<Option<Ended>> {
    let status = rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(pidfd), options))
        .map_err(|errno| SysError::new("waitid", "pidfd", errno))?;
    Ok(status.map(|status| match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Code((code & 0xff) as u8),
        (None, Some(signal)) => Ended::Signal((signal & 0x7f) as u8),
        (None, None) => Ended::Code(255),
    }))
}

/// Reaps any ended child without waiting.
///
/// # Errors
/// `ECHILD` if there are no children at all.
pub fn reap_any() -> Result<Option<(u32, Ended)>> {
    let reaped = raw::reap_any().map_err(|errno| SysError::new("waitpid", "any", errno))?;
    Ok(reaped.map(|(pid, status)| {
        let ended = if libc::WIFSIGNALED(status) {
            Ended::Signal((libc::WTERMSIG(status) & 0x7f) as u8)
        } else {
            Ended::Code((libc::WEXITSTATUS(status) & 0xff) as u8)
        };
        (pid, ended)
    }))
}

/// Sends a signal to a child of ours that was not reaped yet.
///
/// # Errors
/// The kernel's.
pub fn signal_child(pid: u32, signal: i32) -> Result<()> {
    let number = i32::try_from(pid).unwrap_or(i32::MAX);
    raw::kill(number, signal).map_err(|errno| SysError::new("kill", pid.to_string(), errno))
}

/// When a process was started, in clock ticks since boot (field 22 of `/proc/PID/stat`): with the pid it names a process
/// for good.
///
/// # Errors
/// `ENOENT` or `ESRCH` if there is none.
pub fn start_time(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let fail = |errno| SysError::new("read", path.clone(), errno);
    let file = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
    let mut buffer = [0u8; 1024];
    let length = rustix::io::read(&file, &mut buffer).map_err(fail)?;
    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
    // The name in brackets may hold anything, brackets and blanks included: count from the last one.
    let fields = text.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
    fields.split(' ').nth(19).and_then(|field| field.parse().ok()).ok_or_else(|| fail(Errno::INVAL))
}

/// A copy of an executable in sealed memory: nobody can write to it, whoever gets hold of `/proc/PID/exe`
/// (CVE-2019-5736).
///
/// # Errors
/// The kernel's.
pub fn sealed_copy(executable: BorrowedFd<'_>) -> Result<OwnedFd> {
    let fail = |call: &'static str| move |errno: Errno| SysError::new(call, "sealed executable", errno);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know MFD_EXEC; there a memfd is executable anyway.
    let copy = rustix::fs::memfd_create("bulkhead", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("bulkhead", flags))
        .map_err(fail("memfd_create"))?;
    let size = rustix::fs::fstat(executable).map_err(fail("fstat"))?.st_size;
    let mut offset = 0u64;
    while offset < u64::try_from(size).unwrap_or_default() {
        let sent = rustix::fs::sendfile(&copy, executable, Some(&mut offset), 0x7fff_f000).map_err(fail("sendfile"))?;
        if sent == 0 {
            return Err(fail("sendfile")(Errno::IO));
        }
    }
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&copy, seals).map_err(fail("fcntl"))?;
    Ok(copy)
}

/// [`sealed_copy`] of the program that runs here, which others may execute but not read.
///
/// That protects the process that executes it: of a program that its user cannot read, the kernel gives out neither
/// memory nor descriptors, and the file's owner, an id that a container does not have, decides who may trace it.
///
/// # Errors
/// The kernel's.
pub fn sealed_self() -> Result<OwnedFd> {
    let own = rustix::fs::open("/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| SysError::new("open", "/proc/self/exe", errno))?;
    let copy = sealed_copy(own.as_fd())?;
    rustix::fs::fchmod(&copy, Mode::XUSR | Mode::XGRP | Mode::XOTH)
        .map_err(|errno| SysError::new("fchmod", "sealed executable", errno))?;
    Ok(copy)
}

/// Executes a program by descriptor in place of this process; comes back only with an error.
#[must_use]
pub fn execute_descriptor(program: BorrowedFd<'_>, args: &[CString], env: &[CString]) -> SysError {
    SysError::new("execveat", "descriptor", raw::execveat(program, args, env))
}

/// Executes a program by path in place of this process; comes back only with an error.
#[must_use]
pub fn execute(path: &std::ffi::CStr, args: &[CString], env: &[CString]) -> SysError {
    SysError::new("execve", path.to_string_lossy(), raw::execve(path, args, env))
}

/// Every descriptor from this number on is closed by the next exec.
///
/// # Errors
/// The kernel's.
pub fn close_on_exec_from(first: u32) -> Result<()> {
    raw::close_range_on_exec(first).map_err(|errno| SysError::new("close_range", first.to_string(), errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_stable_and_known() {
        let own = std::process::id();
        assert!(start_time(own).unwrap() > 0);
        assert_eq!(start_time(own).unwrap(), start_time(own).unwrap());
        assert!(start_time(u32::MAX).is_err());
    }

    #[test]
    fn a_sealed_copy_cannot_be_written() {
        let copy = sealed_self().unwrap();
        let own = std::fs::metadata("/proc/self/exe").unwrap();
        assert_eq!(u64::try_from(rustix::fs::fstat(&copy).unwrap().st_size).unwrap(), own.len());
        assert!(rustix::io::pwrite(&copy, b"x", 0).is_err());
        assert!(rustix::fs::ftruncate(&copy, 0).is_err());
        assert_eq!(rustix::fs::fstat(&copy).unwrap().st_mode & 0o7777, 0o111);
    }

    #[test]
    fn the_end_is_told() {
        let mut child = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let pidfd = open(child.id()).unwrap();
        assert_eq!(try_wait(pidfd.as_fd()).unwrap(), None);
        signal(pidfd.as_fd(), 40).unwrap();
        assert_eq!(wait(pidfd.as_fd()).unwrap(), Ended::Signal(40));
        assert!(child.wait().is_err());
    }
}
