//! Mount calls that rustix lacks: `mount_setattr(2)`, the file-system ids of a thread, a namespace without a process,
//! loop devices.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use linux_raw_sys::general::mount_attr;
use rustix::io::Errno;

fn last_errno() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// `mount_setattr(fd, "", flags, attributes)`.
///
/// # Errors
/// The kernel's.
pub fn mount_setattr(mount: BorrowedFd<'_>, flags: u32, attributes: &mount_attr) -> Result<(), Errno> {
    // SAFETY: the path is a static C string, the structure is borrowed for the call and its exact size is passed, so
    // the kernel reads nothing beyond it; both are upheld by this function.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            std::mem::size_of::<mount_attr>(),
        )
    };
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}

/// Sets the user id that this thread uses on files; returns the one that is in force afterwards.
#[must_use]
pub fn setfsuid(uid: u32) -> u32 {
    // SAFETY: the calls take integers only and touch no memory of ours. The first result is the old id; a second call
    // with an impossible id changes nothing and tells the one in force.
    unsafe {
        libc::setfsuid(uid);
        libc::setfsuid(u32::MAX).cast_unsigned()
    }
}

/// As [`setfsuid`], for the group id.
#[must_use]
pub fn setfsgid(gid: u32) -> u32 {
    // SAFETY: as in `setfsuid`: integers only.
    unsafe {
        libc::setfsgid(gid);
        libc::setfsgid(u32::MAX).cast_unsigned()
    }
}

/// What the short-lived child of [`user_namespace_zombie`] does.
extern "C" fn leave(_argument: *mut libc::c_void) -> libc::c_int {
    0
}

/// Makes a child in a new user namespace that ends at once and stays a zombie until [`reap`] is called: enough to
/// write the namespace's maps and to open it, and no code of ours runs beside the caller. Safe in a process with
/// threads: the child shares the memory but the caller is suspended until it is gone (`CLONE_VFORK`), and it executes
/// a function that does nothing.
///
/// # Errors
/// The kernel's.
pub fn user_namespace_zombie() -> Result<i32, Errno> {
    const STACK: usize = 64 * 1024;
    let mut stack = vec![0u128; STACK / 16];
    // No exit signal: nobody else's wait for children sees it, and SIGCHLD is not raised.
    let flags = libc::CLONE_NEWUSER | libc::CLONE_VM | libc::CLONE_VFORK;
    // SAFETY: the child's stack is the upper end of a 16-byte aligned buffer that outlives it, because CLONE_VFORK
    // lets this function go on only when the child has ended; `leave` touches no memory but that stack.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.len()).cast::<libc::c_void>();
        libc::clone(leave, top, flags, std::ptr::null_mut())
    };
    if pid < 0 { Err(last_errno()) } else { Ok(pid) }
}

/// Reaps a child of [`user_namespace_zombie`].
///
/// # Errors
/// The kernel's.
pub fn reap(pid: i32) -> Result<(), Errno> {
    // SAFETY: a null status pointer is allowed by waitpid(2).
    let result = unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) };
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}

/// `unshare(CLONE_NEWNS)` for the calling thread, which gets its own root and working directory by that.
///
/// # Errors
/// The kernel's.
pub fn unshare_mounts() -> Result<(), Errno> {
    // SAFETY: unlike CLONE_FILES, this flag takes no descriptor away from other threads; it changes only what paths of
    // this thread mean, which touches no memory.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }
}

/// `struct loop_info64` of `linux/loop.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of `linux/loop.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopInfo>() == 232 && size_of::<LoopConfig>() == 304);

const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `LOOP_CTL_GET_FREE` on `/dev/loop-control`: the number of a device that was free a moment ago.
///
/// # Errors
/// The kernel's.
pub fn loop_free_number(control: BorrowedFd<'_>) -> Result<u32, Errno> {
    // SAFETY: this request takes no argument.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
    u32::try_from(number).map_err(|_| last_errno())
}

/// `LOOP_CONFIGURE`: ties a read-only file to a loop device that frees itself with its last user (Linux 5.8).
///
/// # Errors
/// `EBUSY` if another process was quicker.
pub fn loop_configure(device: BorrowedFd<'_>, file: BorrowedFd<'_>) -> Result<(), Errno> {
    let info = LoopInfo {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
    let config = LoopConfig { fd: file.as_raw_fd().cast_unsigned(), block_size: 0, info, reserved: [0; 8] };
    // SAFETY: the structure has the kernel's layout (its size is asserted above) and outlives the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, std::ptr::from_ref(&config)) };
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}

/// `fcntl(F_SETLEASE, F_WRLCK)`: succeeds only if nobody else, the kernel's own mounts included, has the file open.
/// The lease ends with the descriptor.
///
/// # Errors
/// `EAGAIN` if the file is open elsewhere.
pub fn write_lease(file: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: integers only.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) };
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}
