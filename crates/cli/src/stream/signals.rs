//! Signals for this program while it serves streams, as a descriptor to poll.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::process::Signal as Number;

use crate::failure::{Failure, Result};

/// What is passed on to the process inside. `SIGKILL` and `SIGSTOP` cannot be, `SIGCHLD` and `SIGPIPE` are about us,
/// `SIGTSTP` suspends the client as any program.
const PASSED_ON: [Number; 7] =
    [Number::HUP, Number::INT, Number::QUIT, Number::TERM, Number::USR1, Number::USR2, Number::ALARM];

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGWINCH`
    Resized,
    /// Any other that is passed on: its number.
    Other(i32),
}

/// The signals that are held for the loop.
#[derive(Debug)]
pub struct Signals(bulkhead_engine::Signals);

impl Signals {
    /// Holds them from now on, so that one that arrives during a start is not lost.
    pub fn hold() -> Result<Self> {
        let numbers: Vec<i32> = PASSED_ON.iter().chain([&Number::WINCH]).map(|signal| signal.as_raw()).collect();
        bulkhead_engine::Signals::new(&numbers)
            .map(Self)
            .map_err(|error| Failure::new(format!("cannot hold signals: {error}")))
    }

    /// To poll for readability.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The next one that waits.
    pub fn next(&self) -> Result<Option<Signal>> {
        let number = self.0.take().map_err(|error| Failure::new(format!("cannot read signals: {error}")))?;
        Ok(number.map(|number| if number == Number::WINCH.as_raw() { Signal::Resized } else { Signal::Other(number) }))
    }
}
