//! Sets the loopback interface of the new network namespace up.
//!
//! *Why here:* needs `CAP_NET_ADMIN` over the namespace, which the container itself will not have.

use crate::scene::{Outcome, Scene};

pub(super) fn run(_: &mut Scene<'_>) -> Outcome {
    Ok(bulkhead_sys::namespace::loopback_up()?)
}
