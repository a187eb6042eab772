//! Errors and small results.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use bulkhead_types::{Classified, ErrorClass, ExitStatus};

/// What went wrong, with the cure. The text is complete: a door prints it behind `bulkhead: `.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Class.
    pub class: ErrorClass,
    /// The whole text.
    pub message: String,
    /// Exit code where one is fixed (125, 126, 127); otherwise the door's own.
    pub exit_code: Option<u8>,
}

impl Error {
    /// A new error.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), exit_code: None }
    }
}

impl Classified for Error {
    fn class(&self) -> ErrorClass {
        self.class
    }
}

/// Result of a verb.
pub type Result<T> = std::result::Result<T, Error>;

/// Filters as Docker writes them: key to values; values of one key are alternatives, keys are all required.
pub type Filters = BTreeMap<String, Vec<String>>;

/// An attachment to a container's streams. A door pumps its own streams through it.
#[derive(Debug)]
pub struct Attachment {
    /// Connected SEQPACKET socket; packets as in `bulkhead_plan::control::Packet`.
    pub(crate) channel: bulkhead_sys::socket::Channel,
    /// The streams are one terminal.
    pub terminal: bool,
}

/// What an attachment delivers.
#[derive(Debug)]
pub enum Output {
    /// Bytes for standard output.
    Stdout(Vec<u8>),
    /// Bytes for standard error.
    Stderr(Vec<u8>),
    /// The container ended; nothing follows.
    Exited(bulkhead_plan::control::Exited),
    /// The other end went away without a word (the monitor died).
    Closed,
}

/// A process started by `exec`.
#[derive(Debug)]
pub struct ExecSession {
    pub(crate) channel: bulkhead_sys::socket::Channel,
    /// Controlling end of the terminal, if one was asked for.
    pub terminal: Option<OwnedFd>,
    /// Host pid.
    pub pid: u32,
}

/// The descriptors that an exec without a terminal gets as 0, 1, 2.
pub type ExecStdio = [OwnedFd; 3];

/// A line of a container's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// True for standard error.
    pub stderr: bool,
    /// RFC 3339 with nanoseconds.
    pub time: String,
    /// Bytes with their line end, if they had one.
    pub bytes: Vec<u8>,
}

/// How `wait` ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// At once if it does not run.
    #[default]
    NotRunning,
    /// At the next exit.
    NextExit,
    /// When it is removed.
    Removed,
}

/// What `wait` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    /// How it ended.
    pub status: ExitStatus,
    /// Something went wrong outside the container.
    pub error: String,
}
