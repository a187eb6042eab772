//! Permitted and effective sets as planned, inheritable and ambient empty.
//!
//! *Why here:* after the ids, whose change needs `CAP_SETUID`. Where new privileges were conceded, `CAP_SYS_ADMIN` stays
//! until the filter is loaded; that step drops it.

use bulkhead_plan::Capability;
use bulkhead_sys::privilege;

use crate::scene::{Outcome, Scene, bits};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let for_filter = if scene.filter_needs_rights() { bits(&[Capability::SysAdmin]) } else { 0 };
    Ok(privilege::set_capabilities(scene.final_capabilities() | for_filter)?)
}
