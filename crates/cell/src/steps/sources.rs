//! Makes or fetches what one of the plan's mounts attaches. Part of `attach-mounts`.

use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_plan::{Mount, MountFlags, MountSource};
use bulkhead_sys::mount::{self, Change, Filesystem, MountAttrFlags};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::scene::{Outcome, Scene, Trouble};

/// `PROC_SUPER_MAGIC` of `linux/magic.h`.
pub(super) const PROC_MAGIC: u64 = 0x9fa0;

/// A detached mount with its attributes; `None` if there is nothing to attach.
pub(super) fn open(scene: &mut Scene<'_>, wanted: &Mount) -> Result<Option<OwnedFd>, Trouble> {
    let namespaces = scene.plan.namespaces;
    let attributes = attributes(wanted.flags);
    match &wanted.source {
        MountSource::Handle { index, label, .. } => handle(scene, *index, label, attributes).map(Some),
        MountSource::Proc if namespaces.pid => {
            let proc = filesystem("proc", &[], attributes)?;
            verify_proc(&proc)?;
            Ok(Some(proc))
        }
        MountSource::Proc => inherited("/proc", attributes).map(Some),
        MountSource::Sysfs if namespaces.network => filesystem("sysfs", &[], attributes).map(Some),
        MountSource::Sysfs => inherited("/sys", attributes).map(Some),
        MountSource::Mqueue if namespaces.ipc => filesystem("mqueue", &[], attributes).map(Some),
        MountSource::Mqueue => Ok(inherited("/dev/mqueue", attributes).ok()),
        MountSource::Devpts => devpts(attributes).map(Some),
        MountSource::Dev => {
            scene.nodes.mount.take().map(Some).ok_or_else(|| Trouble::new("dev", "not prepared", Errno::BADF))
        }
        MountSource::Cgroup => group(scene, attributes).map(Some),
        MountSource::Tmpfs { size, inodes, mode } => {
            let (size, inodes, mode) = (size.to_string(), inodes.to_string(), format!("{mode:o}"));
            let mut options = vec![("size", size.as_str()), ("mode", mode.as_str())];
            if inodes != "0" {
                options.push(("nr_inodes", &inodes));
            }
            filesystem("tmpfs", &options, attributes).map(Some)
        }
    }
}

/// The plan's flags as the kernel's.
pub(super) fn attributes(flags: MountFlags) -> MountAttrFlags {
    [
        (flags.read_only, MountAttrFlags::MOUNT_ATTR_RDONLY),
        (flags.nosuid, MountAttrFlags::MOUNT_ATTR_NOSUID),
        (flags.nodev, MountAttrFlags::MOUNT_ATTR_NODEV),
        (flags.noexec, MountAttrFlags::MOUNT_ATTR_NOEXEC),
    ]
    .into_iter()
    .filter_map(|(wanted, flag)| wanted.then_some(flag))
    .collect()
}

/// A new instance of a file system.
pub(super) fn filesystem(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> Result<OwnedFd, Trouble> {
    let filesystem = Filesystem::open(kind)?;
    for (key, value) in options {
        filesystem.string(key, value)?;
    }
    filesystem.create()?;
    Ok(filesystem.mount(attributes)?)
}

/// gid 5 is `tty` in every distribution; a terminal belongs to it with mode 0620 so that `write(1)` and `mesg(1)` work.
fn devpts(attributes: MountAttrFlags) -> Result<OwnedFd, Trouble> {
    filesystem("devpts", &[("mode", "620"), ("ptmxmode", "666"), ("gid", "5")], attributes)
}

/// What the engine opened. Its attributes only ever become stricter here, on everything below it too.
fn handle(scene: &mut Scene<'_>, index: u32, label: &str, set: MountAttrFlags) -> Result<OwnedFd, Trouble> {
    let taken = usize::try_from(index).ok().and_then(|index| scene.handles.get_mut(index)?.take());
    let made = taken.ok_or_else(|| Trouble::new("handle", label, Errno::BADF))?;
    if !set.is_empty() {
        mount::change(made.as_fd(), &Change { set, ..Change::default() }, true)?;
    }
    Ok(made)
}

/// A copy of what is mounted here now, where the plan shares the host's namespace and a new instance is not allowed.
fn inherited(path: &str, set: MountAttrFlags) -> Result<OwnedFd, Trouble> {
    let copy = mount::clone_tree(CWD, path, true)?;
    mount::change(copy.as_fd(), &Change { set, ..Change::default() }, true)?;
    Ok(copy)
}

/// What claims to be procfs must be one.
pub(super) fn verify_proc(proc: &OwnedFd) -> Outcome {
    if mount::filesystem_magic(proc.as_fd())? == PROC_MAGIC {
        Ok(())
    } else {
        Err(Trouble::new("fstatfs", "/proc is no procfs", Errno::INVAL))
    }
}

/// Version 2: the own part of the tree. Version 1: a small tmpfs for the views that [`attach_group_views`] adds.
pub(super) fn group(scene: &Scene<'_>, attributes: MountAttrFlags) -> Result<OwnedFd, Trouble> {
    if scene.unified_cgroup {
        return filesystem("cgroup2", &[], attributes);
    }
    let writable = attributes.difference(MountAttrFlags::MOUNT_ATTR_RDONLY);
    filesystem("tmpfs", &[("size", "4k"), ("nr_inodes", "32"), ("mode", "755")], writable)
}

/// Version 1: the container's own directory of each hierarchy below the tmpfs, read-only, so that a JVM and others find
/// their limits. Nothing above the own group can be reached: each view is a bind mount of that one directory.
pub(super) fn attach_group_views(scene: &mut Scene<'_>, tmpfs: OwnedFd) -> Outcome {
    if scene.unified_cgroup {
        return Ok(());
    }
    let set = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    for (name, view) in std::mem::take(&mut scene.group_views) {
        let fail = |errno| Trouble::new("mkdirat", &name, errno);
        rustix::fs::mkdirat(&tmpfs, &name, Mode::from_raw_mode(0o755)).map_err(fail)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = rustix::fs::openat(&tmpfs, &name, flags, Mode::empty()).map_err(fail)?;
        mount::change(view.as_fd(), &Change { set, ..Change::default() }, false)?;
        mount::attach(view.as_fd(), target.as_fd())?;
    }
    Ok(mount::change(tmpfs.as_fd(), &Change { set, ..Change::default() }, false)?)
}
