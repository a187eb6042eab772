//! `PR_SET_NO_NEW_PRIVS`, read back: set-user-id files and file capabilities give nothing from here on.
//!
//! *Why here:* before the filter, which an unprivileged process may not load without it.

use crate::scene::{Outcome, Scene};

pub(super) fn run(_: &mut Scene<'_>) -> Outcome {
    Ok(bulkhead_sys::privilege::no_new_privileges()?)
}
