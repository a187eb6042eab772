//! Every signal back to its default and unblocked: an ignored or blocked one (ours ignore `SIGPIPE`, and block what a
//! signal descriptor reads) would stay so through the exec.

use bulkhead_sys::process;

use crate::scene::{Outcome, Scene};

pub(super) fn run(_: &mut Scene<'_>) -> Outcome {
    process::default_signals();
    process::set_signal_mask(false);
    Ok(())
}
