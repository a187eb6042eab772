//! The propagation that a foreign caller wants of the root mount.
//!
//! *Why here:* `pivot_root(2)` refuses a shared root, so afterwards.

use bulkhead_sys::mount::{self, Change};

use crate::binds;
use crate::scene::{Outcome, Scene};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let Some(kind) = scene.plan.foreign.as_ref().and_then(|foreign| foreign.propagation) else { return Ok(()) };
    let change = Change { propagation: Some(binds::propagation(kind)), ..Change::default() };
    Ok(mount::change(scene.root()?.fd(), &change, true)?)
}
