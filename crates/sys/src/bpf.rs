//! Loading and attaching the one kind of eBPF program that is needed: the device rules of a version 2 cgroup.

use std::os::fd::{BorrowedFd, OwnedFd};

pub use crate::raw::bpf::Instruction;
use crate::{Result, SysError, raw};

const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// Loads a program that decides on device accesses. It goes when the descriptor and all attachments are gone.
///
/// # Errors
/// The kernel's: `EPERM` without `CAP_BPF`, `EINVAL` if the verifier refuses it.
pub fn load_device_program(program: &[Instruction]) -> Result<OwnedFd> {
    raw::bpf::load(PROG_TYPE_CGROUP_DEVICE, ATTACH_CGROUP_DEVICE, program)
        .map_err(|errno| SysError::new("bpf", "BPF_PROG_LOAD", errno))
}

/// Attaches it to a version 2 group; programs of the groups above stay in force.
///
/// # Errors
/// The kernel's.
pub fn attach_device_program(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    raw::bpf::attach(group, program, ATTACH_CGROUP_DEVICE, ALLOW_MULTI)
        .map_err(|errno| SysError::new("bpf", "BPF_PROG_ATTACH", errno))
}
