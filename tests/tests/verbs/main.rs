//! The verbs as a user types them, one file each.

mod commit;
mod copies;
mod cp;
mod create;
mod events;
mod exec;
mod execs;
mod export;
mod figures;
mod formats;
mod health;
mod image;
mod images;
mod inspect;
mod lifecycle;
mod logging;
mod logs;
mod output;
mod ps;
mod run;
mod states;
mod stats;
mod terminal;
mod usage;
mod volume;
mod volumes;

use std::time::{Duration, Instant};

/// Waits until it is so; a wait that never ends is a failure that says what was waited for.
#[track_caller]
fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(50));
    }
}
