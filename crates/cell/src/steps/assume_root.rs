//! Waits for the id maps, then takes uid 0 and gid 0 of the user namespace with no supplementary group.
//!
//! *Why here:* everything below needs ids that exist. Before this the process still carries the host's root as its user,
//! unmapped and without a right over the host, because its capabilities belong to the new namespace already.

use bulkhead_sys::privilege;

use crate::protocol::Packet;
use crate::scene::{Outcome, Role, Scene};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    if scene.role == Role::First {
        scene.expect(&Packet::MapsWritten)?;
    }
    let foreign = scene.plan.foreign.as_ref();
    if foreign.is_some_and(|foreign| foreign.fixed_groups) {
        privilege::become_user_of_same_groups(0, 0)?;
    } else {
        privilege::become_user(0, 0, &[])?;
    }
    scene.guard_again()
}
