//! `PR_SET_PDEATHSIG`, then a look whether the parent is still there.
//!
//! *Why here:* first, so that no moment exists in which the child outlives a killed monitor unseen. Tracing is refused
//! from here on too: a further process is visible inside from its first moment, with the monitor's memory in it
//! (CVE-2016-9962).

use bulkhead_sys::privilege;

use crate::scene::{Outcome, Scene};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    privilege::hide_from_tracing()?;
    if scene.outlives_parent() {
        return Ok(());
    }
    privilege::die_with_parent()?;
    // The parent lies outside our pid namespace, so getppid says 0 for the living and the dead alike; its end of the
    // socket tells them apart.
    scene.parent_lives()
}
