//! A cgroup namespace whose root is the container's group.
//!
//! *Why here:* after `enter-cgroup`, which gives the place, and `assume-root`, which gives the right. *Attack:* paths
//! above the own group tell about the host and its other containers.

use crate::scene::{Outcome, Scene};

pub(super) fn run(_: &mut Scene<'_>) -> Outcome {
    Ok(bulkhead_sys::namespace::new_cgroup_namespace()?)
}
