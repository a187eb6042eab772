//! Makes the root mount read-only, and only it: what is mounted below keeps its own attributes.
//!
//! *Why here:* after everything that makes a mount point or a directory.

use bulkhead_sys::mount::{self, Change, MountAttrFlags};

use crate::scene::{Outcome, Scene};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let change = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::default() };
    Ok(mount::change(scene.root()?.fd(), &change, false)?)
}
