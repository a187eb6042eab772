//! The caller's hooks of the creation: the parent runs `prestart` and `createRuntime`, then we run `createContainer`.
//!
//! *Why here:* the mounts stand, and before the pivot the hooks' programs, which are the host's, can still be found.

use crate::hooks;
use crate::protocol::Packet;
use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let Some(foreign) = &scene.plan.foreign else { return Ok(()) };
    let wanted = &foreign.hooks;
    if wanted.prestart.is_some() || wanted.create_runtime.is_some() {
        scene.say(&Packet::HooksPlease)?;
        scene.expect(&Packet::HooksDone)?;
    }
    inside(scene, wanted.create_container.as_deref(), "createContainer", "creating")
}

/// Runs hooks in this process's namespaces.
pub(super) fn inside(
    scene: &Scene<'_>,
    list: Option<&[bulkhead_plan::foreign::Hook]>,
    moment: &str,
    status: &str,
) -> Outcome {
    if list.is_none() {
        return Ok(());
    }
    let own = std::process::id();
    let state = scene.foreign.as_ref().and_then(|foreign| foreign.state).map(|state| state(own, status));
    hooks::run(list, moment, &state.unwrap_or_default()).map_err(|detail| Trouble { index: 0, errno: 0, detail })
}
