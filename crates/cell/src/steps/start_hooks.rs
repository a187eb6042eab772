//! The caller's hooks inside, right before its program.
//!
//! *Why here:* they belong to the start, after `Go`; before the filter, which is the program's.

use super::create_hooks;
use crate::scene::{Outcome, Scene};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let Some(foreign) = &scene.plan.foreign else { return Ok(()) };
    // A hook is a child like any other: it must be waited for with signals as usual, and may not be hidden from its own.
    create_hooks::inside(scene, foreign.hooks.start_container.as_deref(), "startContainer", "created")
}
