//! Permitted and effective sets as planned, inheritable and ambient empty.
//!
//! *Why here:* after the ids, whose change needs `CAP_SETUID`. Where new privileges were conceded, `CAP_SYS_ADMIN` stays
//! until the filter is loaded; that step drops it.

use bulkhead_plan::Capability;
use bulkhead_plan::foreign::CapabilitySets;
use bulkhead_sys::privilege;

use crate::scene::{Outcome, Scene, bits};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    if scene.foreign_process().is_some() {
        return foreign(scene, scene.filter_needs_rights());
    }
    let for_filter = if scene.filter_needs_rights() { bits(&[Capability::SysAdmin]) } else { 0 };
    Ok(privilege::set_capabilities(scene.final_capabilities() | for_filter)?)
}

/// All sets as the caller wants them; with the right to load a filter besides, if that is still to come.
pub(super) fn foreign(scene: &Scene<'_>, for_filter: bool) -> Outcome {
    let sets = scene.foreign_process().and_then(|process| process.capabilities.as_ref());
    let of = |list: fn(&CapabilitySets) -> Option<&Vec<Capability>>| {
        bits(sets.and_then(list).map(Vec::as_slice).unwrap_or_default())
    };
    let more = if for_filter { bits(&[Capability::SysAdmin]) } else { 0 };
    Ok(privilege::set_all_capabilities(privilege::Sets {
        effective: of(|sets| sets.effective.as_ref()) | more,
        permitted: of(|sets| sets.permitted.as_ref()) | more,
        inheritable: of(|sets| sets.inheritable.as_ref()),
        ambient: of(|sets| sets.ambient.as_ref()),
    })?)
}
