//! The plan's mounts in their order, each onto a descriptor that a rooted lookup found below the new root.
//!
//! *Why here:* before the pivot, because a new procfs or sysfs is only allowed while an unmasked one is visible. After the
//! pivot nothing of the host is left to be reached. *Attacks:* a link in the image that leads a mount out of the root
//! (CVE-2021-30465 and its many kin): the lookup is `openat2(RESOLVE_IN_ROOT)`, and the kernel's own file systems do not
//! even follow links inside the root (CVE-2019-19921).

use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_plan::{Mount, MountSource};
use bulkhead_sys::mount;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::sources;
use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let plan = scene.plan;
    for (index, wanted) in plan.mounts.iter().enumerate() {
        attach(scene, wanted).map_err(|trouble| trouble.at(index))?;
    }
    Ok(())
}

fn attach(scene: &mut Scene<'_>, wanted: &Mount) -> Outcome {
    let Some(made) = sources::open(scene, wanted)? else { return Ok(()) };
    let target = place(scene, wanted)?;
    mount::attach(made.as_fd(), target.as_fd())?;
    match wanted.source {
        MountSource::Proc => scene.proc = Some(made),
        MountSource::Devpts => scene.devpts = Some(made),
        MountSource::Dev => attach_bound_nodes(scene)?,
        MountSource::Cgroup => sources::attach_group_views(scene, made)?,
        // The host's, shared by concession: it must be a procfs too, because settings are written through it.
        MountSource::Handle { .. } if wanted.target == "/proc" => {
            sources::verify_proc(&made)?;
            scene.proc = Some(made);
        }
        _ => {}
    }
    Ok(())
}

/// The object that the mount covers; made if it is missing.
fn place(scene: &Scene<'_>, wanted: &Mount) -> Result<OwnedFd, Trouble> {
    let root = scene.root()?;
    match wanted.source {
        MountSource::Handle { file: true, .. } => Ok(root.create_file(&wanted.target)?),
        MountSource::Handle { file: false, .. } | MountSource::Tmpfs { .. } => Ok(root.create_dir_all(&wanted.target)?),
        _ => without_links(scene, &wanted.target),
    }
}

/// A directory on the way to which no component is a link.
pub(super) fn without_links(scene: &Scene<'_>, target: &str) -> Result<OwnedFd, Trouble> {
    let root = scene.root()?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let open = || rustix::fs::openat2(root.fd(), target, flags, Mode::empty(), resolve);
    match open() {
        Err(Errno::NOENT) => {
            root.create_dir_all(target)?;
            open()
        }
        other => other,
    }
    .map_err(|errno| Trouble::new("openat2", target, errno))
}

/// Device nodes of the host, where none may be made: one bind mount each.
fn attach_bound_nodes(scene: &mut Scene<'_>) -> Outcome {
    for (path, node) in std::mem::take(&mut scene.nodes.bound) {
        let target = scene.root()?.create_file(&path)?;
        mount::attach(node.as_fd(), target.as_fd())?;
    }
    Ok(())
}
