//! Attaches the detached root mount over `/` of the inherited tree, where it waits for the pivot.
//!
//! *Why here:* mounts below a detached tree are only possible from Linux 6.15 on, so it has to be attached before the
//! plan's mounts are. Our own `/` stays what it was until the pivot.

use std::os::fd::AsFd as _;

use bulkhead_sys::mount;
use bulkhead_sys::root::Root;
use rustix::io::Errno;

use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let detached = scene.root_mount.take().ok_or_else(|| Trouble::new("root", "handle is missing", Errno::BADF))?;
    let place = Root::open_trusted(std::path::Path::new("/"))?;
    mount::attach(detached.as_fd(), place.fd())?;
    scene.root = Some(Root::new(detached));
    Ok(())
}
