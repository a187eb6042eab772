//! Making processes: `clone3(2)` without exec (refused if the process has more than one thread) and starting programs
//! with chosen descriptors.

use std::ffi::CString;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::panic::AssertUnwindSafe;

use rustix::io::Errno;

use crate::namespace::Kinds;
use crate::raw::process as raw;
use crate::{Result, SysError};

/// Exit code of a child whose code panicked.
const PANICKED: i32 = 125;

/// Starts a program by descriptor (`execveat`) with exactly these descriptors: `fds[i].1` becomes number `fds[i].0`;
/// everything else is closed. The child is in its own session, with default signals. Returns the pidfd and the pid.
/// As cheap as `posix_spawn`, and allowed with any number of threads.
///
/// # Errors
/// If the process cannot be made or the program cannot be executed.
pub fn program(
    executable: BorrowedFd<'_>,
    args: &[&str],
    env: &[&str],
    fds: &[(i32, BorrowedFd<'_>)],
) -> Result<(OwnedFd, u32)> {
    let fail = |errno: std::io::Error| SysError::new("execveat", args.first().copied().unwrap_or_default(), errno);
    let keep = fds.iter().map(|(target, _)| target + 1).max().unwrap_or(0).max(3);
    // Sources move above every target first, so that no dup covers a source that is still needed.
    let lift = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, keep);
    let executable = lift(executable).map_err(|errno| fail(errno.into()))?;
    let lifted: Vec<(i32, OwnedFd)> = fds
        .iter()
        .map(|(target, source)| Ok((*target, lift(source.as_fd())?)))
        .collect::<rustix::io::Result<_>>()
        .map_err(|errno| fail(errno.into()))?;
    let numbers: Vec<(i32, i32)> = lifted.iter().map(|(target, source)| (*target, source.as_raw_fd())).collect();
    let (args, env) = (c_strings(args)?, c_strings(env)?);
    raw::spawn_program(executable.as_raw_fd(), &args, &env, &numbers, keep).map_err(fail)
}

/// C strings of texts.
///
/// # Errors
/// `EINVAL` if one contains a zero byte.
pub fn c_strings<T: AsRef<str>>(texts: &[T]) -> Result<Vec<CString>> {
    texts
        .iter()
        .map(|text| {
            CString::new(text.as_ref())
                .map_err(|_| SysError::new("execve", text.as_ref().escape_debug().to_string(), Errno::INVAL))
        })
        .collect()
}

/// Clones this process into new namespaces (and the cgroup whose directory is given, version 2 only); the copy runs
/// `child` and ends with the code that it returns. Descriptors and memory are copies of ours, but for `ours_only`, which the
/// copy does not have. Returns pidfd and pid.
///
/// # Errors
/// `EBUSY` if the process has more than one thread; else the kernel's.
pub fn isolated(
    namespaces: Kinds,
    cgroup: Option<BorrowedFd<'_>>,
    ours_only: BorrowedFd<'_>,
    child: impl FnOnce() -> i32,
) -> Result<(OwnedFd, u32)> {
    let fail = |errno: std::io::Error| SysError::new("clone3", namespaces.to_string(), errno);
    match raw::clone3(namespaces.bits(), cgroup).map_err(fail)? {
        raw::Cloned::Parent(pidfd, pid) => Ok((pidfd, pid)),
        raw::Cloned::Child => {
            raw::close_copy(ours_only);
            run_and_exit(child)
        }
    }
}

/// As [`isolated`], but the copy is a child of our parent, who has to wait for it. For a child of [`isolated`] that has
/// entered a pid namespace, which counts only from the next clone on.
///
/// # Errors
/// The kernel's.
pub fn sibling(child: impl FnOnce() -> i32) -> Result<(OwnedFd, u32)> {
    let fail = |errno: std::io::Error| SysError::new("clone3", "sibling", errno);
    match raw::clone3(u64::from(linux_raw_sys::general::CLONE_PARENT), None).map_err(fail)? {
        raw::Cloned::Parent(pidfd, pid) => Ok((pidfd, pid)),
        raw::Cloned::Child => run_and_exit(child),
    }
}

/// Neither a panic nor a return may reach the frames that were copied from the parent.
fn run_and_exit(child: impl FnOnce() -> i32) -> ! {
    raw::exit_now(std::panic::catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANICKED))
}

/// Forks by the plain `clone` call: 0 in the child. For a single-threaded process that already runs behind a filter,
/// where [`isolated`] is refused.
///
/// # Errors
/// The kernel's.
pub fn fork() -> Result<u32> {
    raw::fork().map_err(|errno| SysError::new("clone", "fork", errno))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_program_gets_exactly_its_descriptors() {
        let shell = std::fs::File::open("/bin/sh").unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let args = ["sh", "-c", "ls /proc/self/fd; echo $A; exit 7"];
        let fds = [(0, null.as_fd()), (1, writer.as_fd()), (2, writer.as_fd())];
        let (pidfd, pid) = program(shell.as_fd(), &args, &["A=b", "PATH=/bin:/usr/bin"], &fds).unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        // `ls` itself opens the directory as 3.
        assert_eq!(text, "0\n1\n2\n3\nb\n");
        assert!(pid > 0);
        assert_eq!(crate::process::wait(pidfd.as_fd()).unwrap(), crate::process::Ended::Code(7));
    }

    #[test]
    fn a_program_that_cannot_be_executed_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        let error = program(file.as_fd(), &["x"], &[], &[]).unwrap_err();
        assert!(matches!(error.raw(), libc::EACCES | libc::ENOEXEC | libc::ETXTBSY), "{error}");
    }

    #[test]
    fn cloning_with_threads_is_refused() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || receiver.recv());
        let error = isolated(Kinds::NONE, None, std::io::stdin().as_fd(), || 0).unwrap_err();
        assert_eq!(error.raw(), libc::EBUSY);
        drop(sender);
        assert!(thread.join().unwrap().is_err());
    }
}
