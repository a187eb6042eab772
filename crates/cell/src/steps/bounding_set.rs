//! Drops every capability that is not in the plan from the bounding set.
//!
//! *Why here:* it needs `CAP_SETPCAP`, which the next steps take away. No exec can bring back what is not in this set.

use bulkhead_sys::privilege;

use crate::scene::{Outcome, Scene};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    Ok(privilege::limit_bounding_set(scene.capabilities)?)
}
