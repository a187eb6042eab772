//! Everything above standard error ends with the exec.
//!
//! *Why here:* no step below opens anything. *Attack:* one leaked directory descriptor of the host is an escape
//! (CVE-2016-9962, CVE-2024-21626). Our own descriptors are close-on-exec from birth; this is for those that somebody
//! else left open in the process that started us.

use crate::scene::{Outcome, Scene};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let kept = scene.foreign_process().map_or(0, |process| process.preserve);
    Ok(bulkhead_sys::process::close_on_exec_from(3 + kept)?)
}
