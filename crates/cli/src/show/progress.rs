//! Progress of transfers: bars on a terminal, one line per step elsewhere, nothing with `--quiet`.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bulkhead_engine::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console;

/// Where progress is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `pull`, `push`, `load`
    Stdout,
    /// A pull on the way of `run`: standard output belongs to the container.
    Stderr,
}

/// The right teller for a target.
pub fn teller(quiet: bool, target: Target) -> Box<dyn Progress> {
    let terminal = match target {
        Target::Stdout => console::stdout_is_terminal(),
        Target::Stderr => console::stderr_is_terminal(),
    };
    match (quiet, terminal) {
        (true, _) => Box::new(bulkhead_engine::Silent),
        (false, true) => Box::new(Bars::new(target)),
        (false, false) => Box::new(Lines { target, last: Mutex::default() }),
    }
}

/// One bar per layer.
struct Bars {
    all: MultiProgress,
    bars: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Bars {
    fn new(target: Target) -> Self {
        let draw = match target {
            Target::Stdout => ProgressDrawTarget::stdout_with_hz(10),
            Target::Stderr => ProgressDrawTarget::stderr_with_hz(10),
        };
        Self { all: MultiProgress::with_draw_target(draw), bars: Mutex::default() }
    }
}

fn style(with_bar: bool) -> ProgressStyle {
    let template = if with_bar { "{prefix}{msg} [{bar:30}] {bytes}/{total_bytes}" } else { "{prefix}{msg}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

impl Progress for Bars {
    fn update(&self, id: &str, status: &str, current: u64, total: u64) {
        if id.is_empty() {
            // What is said of the whole stays above the bars. A terminal that went away is noticed by the verb itself.
            drop(self.all.println(status));
            return;
        }
        let Ok(mut bars) = self.bars.lock() else { return };
        let bar = bars.entry(id.to_owned()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(0));
            bar.set_prefix(format!("{id}: "));
            bar.set_style(style(false));
            bar
        });
        let moving = total > 0 && current < total;
        if bar.message() != status || moving != (bar.length().unwrap_or(0) > 0) {
            bar.set_style(style(moving));
            bar.set_message(status.to_owned());
        }
        bar.set_length(if moving { total } else { 0 });
        bar.set_position(current);
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Ok(bars) = self.bars.lock() {
            bars.values().for_each(ProgressBar::abandon);
        }
    }
}

/// A line whenever what happens to a layer changes.
struct Lines {
    target: Target,
    last: Mutex<BTreeMap<String, String>>,
}

impl Progress for Lines {
    fn update(&self, id: &str, status: &str, _: u64, _: u64) {
        let Ok(mut last) = self.last.lock() else { return };
        if last.get(id).is_some_and(|known| known == status) {
            return;
        }
        last.insert(id.to_owned(), status.to_owned());
        let line = if id.is_empty() { status.to_owned() } else { format!("{id}: {status}") };
        match self.target {
            // A reader that went away is noticed by the verb's own output; the transfer goes on.
            Target::Stdout => drop(console::line(&line)),
            Target::Stderr => console::note(&line),
        }
    }
}
