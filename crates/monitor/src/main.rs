//! The watchman: one small process per container. It builds the cell, keeps the log, serves clients, runs health checks,
//! records the end and asks the engine for what comes next.
//!
//! * **Is:** started by the engine with descriptor 3, one end of the hand-over's socket (`plan::handover`); afterwards
//!   reached over `control.sock` (`plan::control`). One thread, one loop, no engine needed.
//! * **Must never know:** images, the engine's records, the API.
//! * **Invariants:** holds the lock as long as the container counts as running; the end is on disk before anyone is told;
//!   if it dies, its container dies.
//! * **Tests:** beside each module; `tests/` drives the real program as the engine does.

mod container;
mod control;
mod ending;
mod events;
mod exec;
mod exit;
mod failure;
mod handover;
mod health;
mod logs;
mod moment;
mod output;
mod peer;
mod probing;
mod repair;
mod restart;
mod start;
mod stats;
mod streams;
mod token;
mod watch;

use std::process::ExitCode;

/// The engine's end of the hand-over.
const HANDOVER: i32 = 3;

fn main() -> ExitCode {
    // First of all: from the next open on, the number could be somebody else's.
    let channel = bulkhead_sys::inherited::take(HANDOVER);
    let mut words = std::env::args().skip(1);
    match (words.next().as_deref(), channel) {
        (Some("--repair"), _) => repair::repair(words),
        (None, Ok(channel)) => {
            if let Some(container) = start::start(bulkhead_sys::socket::Channel::new(channel)) {
                watch::watch(container);
            }
            ExitCode::SUCCESS
        }
        _ => {
            repair::complain("bulkhead-monitor is started by bulkhead, one for each container; run bulkhead instead");
            ExitCode::from(2)
        }
    }
}
