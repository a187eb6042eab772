//! For an ordinary user: the engine enters a user and mount namespace of that user, in which it is root.

use crate::host;
use crate::model::{Error, Result};

/// Set in the environment of the process that runs inside.
const MARKER: &str = "BULKHEAD_ROOTLESS";

/// True inside the user's own namespace.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(MARKER).is_some()
}

/// Enters it, unless this is root or it was entered already.
///
/// # Errors
/// If the user has no subordinate ids, or the helpers are missing.
pub(crate) fn enter() -> Result<()> {
    if host::is_root() {
        return Ok(());
    }
    Err(Error::unsupported("running as an ordinary user is not built yet; run as root (sudo)"))
}
