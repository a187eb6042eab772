//! Says that everything but the filter is in force, and waits for `Go`.

use crate::protocol::Packet;
use crate::scene::{Outcome, Scene};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    scene.say(&Packet::Sealed(scene.lowered))?;
    scene.expect(&Packet::Go)
}
