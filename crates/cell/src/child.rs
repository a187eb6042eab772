//! The loop that runs in the child, and nothing else.

use bulkhead_plan::steps::Step;
use bulkhead_sys::socket::Channel;

use crate::protocol::{self, Packet};
use crate::scene::{Scene, failure};
use crate::steps;

/// Runs the steps in their order. Comes back only when one has failed, after telling the parent, with the exit code for
/// the child.
pub fn run<'a>(list: impl IntoIterator<Item = &'a Step>, scene: &mut Scene<'_>) -> i32 {
    for step in list {
        if let Err(trouble) = steps::run(*step, scene) {
            let packet = Packet::StepFailed(failure(*step, trouble));
            return report(scene.channel(), &packet);
        }
    }
    // `execute` does not come back without a failure: only a list without it ends here.
    125
}

/// If the parent cannot be told, it sees the closed socket and the exit code.
fn report(channel: &Channel, packet: &Packet) -> i32 {
    match protocol::send(channel, packet) {
        Ok(()) => 125,
        Err(_) => 124,
    }
}
