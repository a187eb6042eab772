//! `bulkhead-monitor --repair PATH…`: ends and removes what a killed monitor has left of its container. Called by the
//! engine, which must not know how. Only for containers that nobody watches (whose lock is free).

use std::process::ExitCode;

/// Kills and removes each group; one that is gone already is fine.
pub(crate) fn repair(paths: impl Iterator<Item = String>) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for path in paths {
        if let Err(message) = bulkhead_cell::clear_away(&path) {
            complain(&format!("bulkhead-monitor: {message}"));
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// The only words that a monitor ever says aloud.
#[allow(clippy::print_stderr)]
pub(crate) fn complain(message: &str) {
    eprintln!("{message}");
}
