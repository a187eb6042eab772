//! An own session, and a new session keyring.
//!
//! *Why here:* before anything of the container exists. *Attack:* a process that keeps the host's session can push input
//! into its terminal (CVE-2016-2568, `TIOCSTI`) and search its keyring.

use bulkhead_sys::privilege;
use rustix::io::Errno;

use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    match rustix::process::setsid() {
        // EPERM: pid 1 of a new namespace is a leader already, or a group leader; both have a session of their own.
        Ok(_) | Err(Errno::PERM) => {}
        Err(errno) => return Err(Trouble::new("setsid", "", errno)),
    }
    if scene.plan.foreign.as_ref().is_some_and(|foreign| foreign.keep_keyring) {
        return Ok(());
    }
    Ok(privilege::new_session_keyring()?)
}
