//! `bpf(2)`: two of its commands, with the layouts of `linux/bpf.h`.

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::io::Errno;

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;

/// `struct bpf_insn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Target register in the low half, source register in the high half.
    pub registers: u8,
    /// Displacement of a jump or an access.
    pub offset: i16,
    /// Constant.
    pub immediate: i32,
}

/// The part of `union bpf_attr` that `BPF_PROG_LOAD` reads; the kernel takes the rest as zero.
#[repr(C)]
struct LoadAttributes {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

#[repr(C)]
struct AttachAttributes {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// `BPF_PROG_LOAD`; the kernel verifies the program before it exists.
///
/// # Errors
/// The kernel's.
pub fn load(kind: u32, attach_type: u32, program: &[Instruction]) -> Result<OwnedFd, Errno> {
    let attributes = LoadAttributes {
        prog_type: kind,
        insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: *b"bulkhead\0\0\0\0\0\0\0\0",
        prog_ifindex: 0,
        expected_attach_type: attach_type,
    };
    // SAFETY: the attributes, the program and the static license text live across the call; the size given is that of
    // the structure, which has no padding; the kernel only reads.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attributes, size_of::<LoadAttributes>()) };
    if fd < 0 {
        return Err(last());
    }
    let fd = i32::try_from(fd).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel has just made this descriptor (close-on-exec) for us; nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `BPF_PROG_ATTACH`.
///
/// # Errors
/// The kernel's.
pub fn attach(
    target: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    attach_type: u32,
    attach_flags: u32,
) -> Result<(), Errno> {
    let attributes = AttachAttributes {
        target_fd: target.as_raw_fd().unsigned_abs(),
        attach_bpf_fd: program.as_raw_fd().unsigned_abs(),
        attach_type,
        attach_flags,
    };
    // SAFETY: the attributes live across the call and hold numbers only; the size given is the structure's.
    let done =
        unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attributes, size_of::<AttachAttributes>()) };
    if done < 0 { Err(last()) } else { Ok(()) }
}
