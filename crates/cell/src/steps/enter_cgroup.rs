//! Writes `0` to the `tasks` file of each version 1 group.
//!
//! *Why here:* before any memory is spent, so that everything counts, and before the cgroup namespace, whose root is the
//! group of now. *Why the child:* a task that moves itself spares the grace period that moving another one costs (10 ms
//! and more on version 1).

use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    for (index, tasks) in scene.entry_files.iter().enumerate() {
        rustix::io::write(tasks, b"0").map_err(|errno| Trouble::new("write", "tasks", errno).at(index))?;
    }
    Ok(())
}
