//! Binds the read-only paths onto themselves, read-only, with the masks that lie on them.
//!
//! *Why here:* the sysctls are written. *Attack:* `/proc/sys`, `/proc/irq` and others are files of the kernel that root
//! inside could still write where no capability is asked for.

use std::os::fd::AsFd as _;

use bulkhead_sys::mount::{self, Change, MountAttrFlags};

use super::mask_paths::existing;
use crate::scene::{Outcome, Scene};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let plan = scene.plan;
    for (index, path) in plan.read_only_paths.iter().enumerate() {
        bind(scene, path).map_err(|trouble| trouble.at(index))?;
    }
    Ok(())
}

fn bind(scene: &Scene<'_>, path: &str) -> Outcome {
    let Some(target) = existing(scene, path)? else { return Ok(()) };
    let copy = mount::clone_tree(target.as_fd(), "", true)?;
    let change = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::default() };
    mount::change(copy.as_fd(), &change, true)?;
    Ok(mount::attach(copy.as_fd(), target.as_fd())?)
}
