//! Processes: `clone3(2)`, `clone(2)` with a stack of its own, `execveat(2)`, signals, the few `prctl(2)`s and
//! `ioctl(2)`s that rustix does not wrap safely.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use linux_raw_sys::general as kernel;

/// Turns the C convention (`-1` and `errno`) into a result.
fn checked(value: libc::c_long) -> io::Result<libc::c_long> {
    if value < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// What `clone3` gave to whom.
pub enum Cloned {
    /// This is the new process.
    Child,
    /// This is the old one: pidfd and pid.
    Parent(OwnedFd, u32),
}

/// `clone3(2)` as a fork (memory is copied) with a pidfd.
///
/// # Errors
/// `EBUSY` if the process has more than one thread: locks that another one holds would stay locked in the child for
/// ever. Else the kernel's.
pub fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    one_thread()?;
    let mut pidfd: c_int = -1;
    // SAFETY: clone_args is a C structure of integers, for which all zeroes is a valid value.
    let mut args: kernel::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | u64::from(kernel::CLONE_PIDFD);
    args.pidfd = (&raw mut pidfd) as u64;
    // A sibling ends with the signal that its parent's children end with; naming another one is refused.
    let sibling = flags & u64::from(kernel::CLONE_PARENT) != 0;
    args.exit_signal = if sibling { 0 } else { libc::SIGCHLD as u64 };
    if let Some(cgroup) = cgroup {
        args.flags |= kernel::CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    // SAFETY: `args` is initialised and outlives the call; without CLONE_VM (callers pass namespace flags only) the
    // child runs on its own copy of this stack, so returning twice disturbs nobody; there is one thread, see above.
    let pid = checked(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<kernel::clone_args>()) })?;
    if pid == 0 {
        return Ok(Cloned::Child);
    }
    // SAFETY: the kernel has just made this descriptor for us and nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned::Parent(pidfd, u32::try_from(pid).unwrap_or_default()))
}

/// A `task` directory has a link from itself, its parent and each of its members.
fn one_thread() -> io::Result<()> {
    let links = rustix::fs::stat("/proc/self/task")?.st_nlink;
    if links == 3 { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EBUSY)) }
}

/// Closes the copy of a descriptor that a fresh clone has got. Its owner lives in the parent's frames, which the clone
/// never goes back to, so nobody uses or closes the number again (`spawn::isolated` upholds that).
pub fn close_copy(fd: BorrowedFd<'_>) {
    // SAFETY: see above; an integer is all that the call takes.
    unsafe { libc::close(fd.as_raw_fd()) };
}

/// `fork(2)` by the plain `clone` system call, which a filter that refuses `clone3` still allows. 0 in the child.
///
/// # Errors
/// The kernel's.
pub fn fork() -> io::Result<u32> {
    // SAFETY: no CLONE_VM, so the child has its own copy of memory and stack; unused arguments are null. Only the child
    // of `clone3`, which starts no thread, comes here; /proc may be out of its reach, so that it cannot be counted.
    let pid = checked(unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) })?;
    Ok(u32::try_from(pid).unwrap_or_default())
}

/// Ends the process without running destructors or exit handlers (those belong to the process this was cloned from).
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes any integer and touches no memory.
    unsafe { libc::_exit(code) }
}

/// `execveat(2)` by descriptor; comes back only with an error.
pub fn execveat(program: BorrowedFd<'_>, args: &[CString], env: &[CString]) -> io::Error {
    let (args, env) = (pointers(args), pointers(env));
    execveat_pointers(program.as_raw_fd(), &args, &env)
}

/// `execve(2)`; comes back only with an error.
pub fn execve(path: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: `path` is a C string; both arrays end with null and point to C strings that outlive the call.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

fn execveat_pointers(program: RawFd, args: &[*const c_char], env: &[*const c_char]) -> io::Error {
    // SAFETY: the path is an empty C string; both arrays end with null (see `pointers`) and point to C strings that
    // the caller keeps alive.
    unsafe {
        libc::syscall(libc::SYS_execveat, program, c"".as_ptr(), args.as_ptr(), env.as_ptr(), libc::AT_EMPTY_PATH)
    };
    io::Error::last_os_error()
}

/// Pointers to each string, with the null that ends the array.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
}

/// What the child of [`spawn_program`] needs; everything is allocated before the clone.
struct Spawned<'a> {
    program: RawFd,
    args: &'a [*const c_char],
    env: &'a [*const c_char],
    /// `(target, source)` with sources above every target.
    fds: &'a [(c_int, c_int)],
    keep: c_int,
    errno: c_int,
}

/// Starts a program as `posix_spawn` does: the child shares our memory on a stack of its own while we wait for its
/// exec. Descriptors `fds` end up at their numbers, everything from `keep` on is closed, `program` (above all targets)
/// too. Signals are default and unblocked, the session is new.
///
/// # Errors
/// The kernel's; an error of the exec is returned here, the child is reaped then.
pub fn spawn_program(
    program: RawFd,
    args: &[CString],
    env: &[CString],
    fds: &[(c_int, c_int)],
    keep: c_int,
) -> io::Result<(OwnedFd, u32)> {
    const STACK: usize = 64 * 1024;
    let (args, env) = (pointers(args), pointers(env));
    let mut task = Spawned { program, args: &args, env: &env, fds, keep, errno: 0 };
    let mut stack: Vec<u128> = Vec::with_capacity(STACK / size_of::<u128>());
    let mut pidfd: c_int = -1;
    let blocked = block_all_signals();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: `top` is one past the end of an allocation of STACK bytes, aligned to 16, that lives until after the
    // child has executed or exited (CLONE_VFORK makes us wait). `task` lives as long. All signals are blocked, so no
    // handler of ours runs in the child. `start_spawned` never returns and allocates nothing.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(STACK / size_of::<u128>()).cast::<c_void>();
        libc::clone(start_spawned, top, flags, (&raw mut task).cast::<c_void>(), &raw mut pidfd)
    };
    let cloned = checked(pid.into());
    restore_signals(&blocked);
    let pid = cloned?;
    // SAFETY: the kernel has just made this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // SAFETY: `task` is ours again; the child wrote the field before we were let go on.
    let errno = unsafe { (&raw const task.errno).read_volatile() };
    if errno != 0 {
        // SAFETY: waits for our own child by number; the status is not wanted.
        unsafe { libc::waitpid(pid as libc::pid_t, std::ptr::null_mut(), 0) };
        return Err(io::Error::from_raw_os_error(errno));
    }
    Ok((pidfd, u32::try_from(pid).unwrap_or_default()))
}

/// The child of [`spawn_program`]: only system calls, no allocation, no panic.
extern "C" fn start_spawned(task: *mut c_void) -> c_int {
    // SAFETY: `spawn_program` passes a valid, exclusive pointer and waits until we are gone.
    let task = unsafe { &mut *task.cast::<Spawned<'_>>() };
    default_signals();
    // SAFETY: plain system calls on descriptor numbers; the child has its own descriptor table (no CLONE_FILES).
    unsafe {
        libc::setsid();
        for &(target, source) in task.fds {
            if libc::dup3(source, target, 0) < 0 {
                task.errno = *libc::__errno_location();
                libc::_exit(127);
            }
        }
        if libc::syscall(libc::SYS_close_range, task.keep, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) < 0 {
            task.errno = *libc::__errno_location();
            libc::_exit(127);
        }
        let empty: libc::sigset_t = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut());
    }
    task.errno = execveat_pointers(task.program, task.args, task.env).raw_os_error().unwrap_or(libc::EINVAL);
    exit_now(127)
}

fn block_all_signals() -> libc::sigset_t {
    // SAFETY: both sets are plain memory that the calls fill in.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut old: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut old);
        old
    }
}

fn restore_signals(old: &libc::sigset_t) {
    // SAFETY: `old` was filled by sigprocmask.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, old, std::ptr::null_mut()) };
}

/// Every signal to its default disposition (an ignored one would stay ignored through exec).
pub fn default_signals() {
    for signal in 1..=64 {
        // The kernel's own structure: handler SIG_DFL, no flags, no restorer, empty mask. glibc's sigaction refuses
        // its two internal real-time signals, the bare call does not.
        let action = [0u64; 4];
        // SAFETY: `action` has the size of the kernel's struct sigaction; SIGKILL and SIGSTOP are refused, harmlessly.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), std::ptr::null::<u64>(), 8usize) };
    }
}

/// Blocks no signal (`true`: every one).
pub fn set_signal_mask(all: bool) {
    let mask: u64 = if all { u64::MAX } else { 0 };
    // SAFETY: reads eight bytes of `mask`, the size of the kernel's set.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            std::ptr::null::<u64>(),
            size_of::<u64>(),
        )
    };
}

/// Takes the next blocked signal (`rt_sigtimedwait(2)` without a time-out).
pub fn next_signal() -> i32 {
    loop {
        let mask = u64::MAX;
        // SAFETY: reads eight bytes of `mask`; no information and no time-out are asked for.
        let signal = unsafe {
            libc::syscall(
                libc::SYS_rt_sigtimedwait,
                &raw const mask,
                std::ptr::null::<c_void>(),
                std::ptr::null::<c_void>(),
                size_of::<u64>(),
            )
        };
        if signal > 0 {
            return i32::try_from(signal).unwrap_or_default();
        }
    }
}

/// Reaps any ended child: pid and raw wait status, `None` if there is none at the moment, an error if there are no
/// children.
///
/// # Errors
/// `ECHILD`.
pub fn reap_any() -> io::Result<Option<(u32, i32)>> {
    let mut status: c_int = 0;
    // SAFETY: `status` outlives the call.
    let pid = checked(unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) }.into())?;
    Ok((pid > 0).then_some((u32::try_from(pid).unwrap_or_default(), status)))
}

/// `kill(2)` by pid; only for children that were not reaped yet.
///
/// # Errors
/// The kernel's.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes integers only.
    checked(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// `pidfd_send_signal(2)` with any number, real-time signals included.
///
/// # Errors
/// The kernel's.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: integers, and a null siginfo, which the kernel fills in itself.
    checked(unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<c_void>(), 0)
    })
    .map(drop)
}

/// `unshare(2)`.
///
/// # Errors
/// The kernel's.
pub fn unshare(flags: u32) -> io::Result<()> {
    // SAFETY: only namespace flags come here (`namespace::leave_cgroup` and the tests); none of them un-shares memory
    // or descriptors.
    checked(unsafe { libc::unshare(flags as c_int) }.into()).map(drop)
}

/// `close_range(2)` from `first` on with `CLOSE_RANGE_CLOEXEC`: closed by the next exec.
///
/// # Errors
/// The kernel's.
pub fn close_range_on_exec(first: u32) -> io::Result<()> {
    // SAFETY: only sets the close-on-exec flag; no descriptor is closed under an owner.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Closes every descriptor of this process. Only for one that never again uses, or drops, anything that owns one: the
/// pid 1 that `spawn::fork` leaves behind, which ends by [`exit_now`].
pub fn close_everything() {
    // SAFETY: no owner of a descriptor is ever used again, see above; nothing else depends on descriptors being open.
    unsafe { libc::syscall(libc::SYS_close_range, 0u32, u32::MAX, 0u32) };
}

/// `PR_CAPBSET_DROP`.
///
/// # Errors
/// `EINVAL` for a capability that the kernel does not know.
pub fn drop_bounding(capability: u32) -> io::Result<()> {
    // SAFETY: takes integers only.
    checked(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, u64::from(capability), 0, 0, 0) }.into()).map(drop)
}

/// `keyctl(KEYCTL_JOIN_SESSION_KEYRING)` with a new anonymous keyring.
///
/// # Errors
/// The kernel's.
pub fn new_session_keyring() -> io::Result<()> {
    // SAFETY: a null name asks for an anonymous keyring.
    checked(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<c_char>()) })
        .map(drop)
}

/// Sets the interface `lo` of the current network namespace up (`SIOCSIFFLAGS`).
///
/// # Errors
/// The kernel's.
pub fn loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: ifreq is plain data; all zeroes is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = *byte as c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which outlives the call.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into()).map(drop)
}
