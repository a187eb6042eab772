//! The plan's sysctls, through the procfs that we mounted ourselves.
//!
//! *Why here:* before `/proc/sys` becomes read-only. *Attack:* a procfs that the container prepared can lead such a write
//! anywhere (CVE-2019-16884, CVE-2025-52881): the descriptor is of our own mount, its type was checked, and the lookup
//! crosses neither a mount nor a link.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bulkhead_sys::mount::MountAttrFlags;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let plan = scene.plan;
    for (index, (name, value)) in plan.sysctls.iter().enumerate() {
        let proc = any_proc(scene)?;
        write(proc.as_fd(), &name.replace('.', "/"), value).map_err(|trouble| trouble.at(index))?;
    }
    Ok(())
}

/// The private procfs; a new one that is attached nowhere where the plan mounts none.
pub(super) fn any_proc(scene: &Scene<'_>) -> Result<OwnedFd, Trouble> {
    if let Some(proc) = &scene.proc {
        return proc.try_clone().map_err(|_| Trouble::new("dup", "procfs", Errno::MFILE));
    }
    super::sources::filesystem("proc", &[], MountAttrFlags::empty())
}

/// The private procfs.
pub(super) fn proc<'a>(scene: &'a Scene<'_>) -> Result<BorrowedFd<'a>, Trouble> {
    let missing = || Trouble::new("procfs", "the plan mounts none", Errno::BADF);
    scene.proc.as_ref().map(|proc| proc.as_fd()).ok_or_else(missing)
}

/// Writes a value to `sys/NAME`.
pub(super) fn write(proc: BorrowedFd<'_>, name: &str, value: &str) -> Outcome {
    let file = open(proc, name, OFlags::WRONLY)?;
    let written = rustix::io::write(&file, value.as_bytes()).map_err(|errno| Trouble::new("write", name, errno))?;
    if written == value.len() { Ok(()) } else { Err(Trouble::new("write", name, Errno::IO)) }
}

/// Opens `sys/NAME` without crossing a mount or a link.
pub(super) fn open(proc: BorrowedFd<'_>, name: &str, flags: OFlags) -> Result<std::os::fd::OwnedFd, Trouble> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(proc, format!("sys/{name}"), flags | OFlags::CLOEXEC, Mode::empty(), resolve)
        .map_err(|errno| Trouble::new("openat2", name, errno))
}
