//! Scheduling, priorities, execution domain and memory policy of a thread: calls that rustix lacks.

use std::io;

fn checked(value: libc::c_long) -> io::Result<libc::c_long> {
    if value < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// `struct sched_attr` of `linux/sched/types.h`, first version (48 bytes).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct SchedAttr {
    pub size: u32,
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

const _: () = assert!(size_of::<SchedAttr>() == 48);

/// `sched_setattr(2)` of the calling thread.
///
/// # Errors
/// The kernel's.
pub fn sched_setattr(attributes: &SchedAttr) -> io::Result<()> {
    let attributes = SchedAttr { size: size_of::<SchedAttr>() as u32, ..*attributes };
    // SAFETY: the structure outlives the call and names its own size, so the kernel reads nothing beyond it.
    checked(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) }).map(drop)
}

/// `ioprio_set(IOPRIO_WHO_PROCESS, 0, value)`.
///
/// # Errors
/// The kernel's.
pub fn ioprio_set(value: i32) -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    // SAFETY: takes integers only.
    checked(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, value) }).map(drop)
}

/// `personality(2)`.
///
/// # Errors
/// The kernel's.
pub fn personality(domain: u32) -> io::Result<()> {
    // SAFETY: takes an integer only.
    checked(unsafe { libc::personality(libc::c_ulong::from(domain)) }.into()).map(drop)
}

/// `set_mempolicy(2)`; `nodes` is a bit set of `nodes.len() * 64` nodes.
///
/// # Errors
/// The kernel's.
pub fn set_mempolicy(mode: i32, nodes: &[u64]) -> io::Result<()> {
    let pointer = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    // The kernel reads one bit less than the count that it is told.
    let count = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    // SAFETY: the kernel reads `count - 1` bits of the slice, which is what it has; a null pointer goes with 0.
    checked(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, count) }).map(drop)
}

/// `umask(2)`.
pub fn umask(mask: u32) {
    // SAFETY: takes an integer only and cannot fail.
    unsafe { libc::umask(mask & 0o777) };
}

/// `setdomainname(2)`.
///
/// # Errors
/// The kernel's.
pub fn setdomainname(name: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads `name.len()` bytes of the slice.
    checked(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) }.into()).map(drop)
}

/// `PR_CAP_AMBIENT_RAISE`.
///
/// # Errors
/// `EPERM` if it is not both permitted and inheritable.
pub fn raise_ambient(capability: u32) -> io::Result<()> {
    // SAFETY: takes integers only.
    checked(
        unsafe {
            libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong, u64::from(capability), 0, 0)
        }
        .into(),
    )
    .map(drop)
}
