//! Loads the compiled system call filter.
//!
//! *Why here:* after `Go`, so that no filter ever has to allow our own handshake; before `init`, which it holds too.

use bulkhead_sys::privilege;
use rustix::io::Errno;

use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let filter = scene.filter.ok_or_else(|| Trouble::new("seccomp", "no compiled filter", Errno::BADF))?;
    filter.load()?;
    if scene.filter_needs_rights() && scene.foreign_process().is_some() {
        return super::capabilities::foreign(scene, false);
    }
    if scene.filter_needs_rights() {
        privilege::set_capabilities(scene.final_capabilities())?;
    }
    Ok(())
}
