//! Makes the root mount read-only, and only it: what is mounted below keeps its own attributes. Set-user-id bits lose
//! their meaning with it unless new privileges were conceded (S18): no-new-privileges says the same of a process, this
//! says it of the files.
//!
//! *Why here:* after everything that makes a mount point or a directory.

use bulkhead_sys::mount::{self, Change, MountAttrFlags};

use crate::scene::{Outcome, Scene};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let mut set = MountAttrFlags::MOUNT_ATTR_RDONLY;
    if scene.plan.no_new_privs && scene.plan.foreign.is_none() {
        set |= MountAttrFlags::MOUNT_ATTR_NOSUID;
    }
    let change = Change { set, ..Change::default() };
    Ok(mount::change(scene.root()?.fd(), &change, false)?)
}
