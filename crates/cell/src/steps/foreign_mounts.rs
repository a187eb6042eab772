//! A foreign caller's mounts in their order, each onto a descriptor that a rooted lookup found below the new root.
//!
//! *Why here:* as `attach-mounts`, and against the same attacks (CVE-2021-30465, CVE-2019-19921); besides, nothing but a
//! procfs may lie on `/proc`, and nothing below it but what is known to be harmless (CVE-2019-16884, CVE-2025-52881).

use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_plan::foreign::ForeignMount;
use bulkhead_plan::mount_words::MountOptions;
use bulkhead_sys::mount::{self, Filesystem, MountAttrFlags};
use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

use super::attach_mounts::without_links;
use super::copy_up;
use super::sources::{self, PROC_MAGIC};
use crate::binds;
use crate::scene::{Outcome, Scene, Trouble};

/// The kernel's own: no link on the way to them is followed.
const KERNELS: [&str; 7] = ["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "devtmpfs"];

/// Files of a procfs that may be covered, because they only tell (lxcfs and its like do so).
const COVERABLE: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
];

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let Some(foreign) = &scene.plan.foreign else { return Ok(()) };
    for (index, wanted) in foreign.mounts.iter().enumerate() {
        attach(scene, wanted, index).map_err(|trouble| trouble.at(index))?;
    }
    Ok(())
}

fn attach(scene: &mut Scene<'_>, wanted: &ForeignMount, index: usize) -> Outcome {
    let options = binds::options(wanted).map_err(|why| Trouble::new("options", &why, Errno::INVAL))?;
    let prepared = scene.foreign.as_mut().and_then(|foreign| foreign.mounts.get_mut(index)?.take());
    let kind = wanted.kind.as_deref().unwrap_or("none");
    let groups = matches!(kind, "cgroup" | "cgroup2");
    let bound = prepared.is_some();
    let made = match prepared {
        Some(made) => made,
        None if groups => sources::group(scene, MountAttrFlags::from_bits_retain(options.set))?,
        None => filesystem(wanted, kind, &options)?,
    };
    let target = place(scene, wanted, &made, bound, kind)?;
    if options.copy_up && kind == "tmpfs" {
        copy_up::run(&target, &made)?;
    }
    if !bound && !groups {
        binds::attributes(&made, &options)?;
    }
    mount::attach(made.as_fd(), target.as_fd())?;
    match kind {
        "proc" if wanted.target.trim_end_matches('/') == "/proc" => {
            sources::verify_proc(&made)?;
            scene.proc = Some(made);
        }
        "devpts" if wanted.target.trim_end_matches('/') == "/dev/pts" => scene.devpts = Some(made),
        _ if groups && !scene.unified_cgroup => sources::attach_group_views(scene, made)?,
        _ => {}
    }
    Ok(())
}

/// A new instance, with the caller's words for the file system.
fn filesystem(wanted: &ForeignMount, kind: &str, options: &MountOptions) -> Result<OwnedFd, Trouble> {
    let filesystem = Filesystem::open(kind)?;
    let source = wanted.source.as_deref().unwrap_or(kind);
    if !source.is_empty() {
        filesystem.string("source", source)?;
    }
    for (key, value) in &options.data {
        match value {
            Some(value) => filesystem.string(key, value)?,
            None => filesystem.flag(key)?,
        };
    }
    filesystem.create()?;
    Ok(filesystem.mount(MountAttrFlags::empty())?)
}

/// The object that the mount covers; made if it is missing.
fn place(
    scene: &Scene<'_>,
    wanted: &ForeignMount,
    made: &OwnedFd,
    bound: bool,
    kind: &str,
) -> Result<OwnedFd, Trouble> {
    let root = scene.root()?;
    let target = wanted.target.as_str();
    let stat = rustix::fs::fstat(made).map_err(|errno| Trouble::new("fstat", target, errno))?;
    let file = FileType::from_raw_mode(stat.st_mode) != FileType::Directory;
    let found = match file {
        true => root.create_file(target)?,
        false if !bound && KERNELS.contains(&kind) => without_links(scene, target)?,
        false => root.create_dir_all(target)?,
    };
    // What the lookup found decides, not what the path says: a link of the image may lead below /proc.
    let covered = mount::filesystem_magic(found.as_fd())?;
    let on_proc = target.trim_end_matches('/') == "/proc" || covered == PROC_MAGIC;
    if !on_proc {
        return Ok(found);
    }
    let is_proc = mount::filesystem_magic(made.as_fd())? == PROC_MAGIC;
    let harmless = COVERABLE.contains(&target) || target.starts_with("/proc/sys/") && is_proc;
    if harmless || is_proc && target.trim_end_matches('/') == "/proc" || is_proc && bound {
        return Ok(found);
    }
    Err(Trouble::new("mount", "on procfs: only a procfs, and the files that lxcfs serves, may lie there", Errno::PERM))
}

/// Opens a directory of the root for writing into it.
pub(super) fn readable(directory: &OwnedFd) -> Result<OwnedFd, Trouble> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::openat(directory, ".", flags, Mode::empty()).map_err(|errno| Trouble::new("openat", ".", errno))
}
