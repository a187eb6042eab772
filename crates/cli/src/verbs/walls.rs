//! `walls`: what holds this process, seen from inside. The only program of the built-in image, so that the first
//! `bulkhead run` needs no network. It reads what the kernel says about it and tries a few doors; every attempt is
//! harmless even where it succeeds, so that it can run on an open host for comparison.

mod seen;
mod tried;

use crate::console;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;

/// What one look or one attempt found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Which wall.
    pub wall: &'static str,
    /// How it stands.
    pub state: State,
    /// What was seen, in one sentence.
    pub about: String,
}

/// How a wall stands. Open ones are shown first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// It is not there.
    Open,
    /// It could not be seen.
    Unseen,
    /// It stands.
    Held,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Unseen => "unseen",
            Self::Held => "held",
        }
    }
}

impl Finding {
    fn new(wall: &'static str, held: bool, about: impl Into<String>) -> Self {
        Self { wall, state: if held { State::Held } else { State::Open }, about: about.into() }
    }

    fn unseen(wall: &'static str, about: impl Into<String>) -> Self {
        Self { wall, state: State::Unseen, about: about.into() }
    }
}

/// `walls`
#[derive(clap::Args, Debug)]
pub struct Walls {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Walls {
    const SPELLINGS: &'static [&'static str] = &["walls"];
    const USAGE: &'static str = "";
    const ABOUT: &'static str = "Show which walls stand around this process (made to be run inside a container)";
    const WORDS: Words = Words::exactly(0);

    fn run(self, _session: &Session) -> Result<u8> {
        console::out(&report())?;
        Ok(0)
    }
}

/// All findings as text, the open walls first.
pub fn report() -> String {
    let mut findings = seen::look();
    // Trying changes this process, so it comes last.
    findings.extend(tried::attempt());
    findings.sort_by_key(|finding| finding.state);
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (open, held) = (count(State::Open), count(State::Held));
    let mut text = match open {
        0 => format!("{held} walls hold this process, none is open.\n"),
        1 => format!("{held} walls hold this process, 1 is open.\n"),
        _ => format!("{held} walls hold this process, {open} are open.\n"),
    };
    for finding in &findings {
        text.push_str(&format!("  {:<7} {:<22} {}\n", finding.state.word(), finding.wall, finding.about));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_every_wall_once_and_open_ones_first() {
        let text = report();
        let words: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        assert!(words.len() > 20, "{text}");
        let rank = |word: &&str| ["open", "unseen", "held"].iter().position(|known| known == word);
        assert!(words.iter().map(rank).is_sorted(), "{text}");
        assert!(text.contains("user namespace") && text.contains("mount(2)"));
    }
}
