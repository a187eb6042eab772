//! Why a verb did not do what was asked, and the exit code that Docker's users expect for it.

use std::fmt;
use std::io;

/// The shell's number for a program that was ended by `SIGPIPE`: 128 + 13.
pub const BROKEN_PIPE: u8 = 141;
/// Docker's code for "the engine or the command line failed, not the container".
pub const NOT_STARTED: u8 = 125;

/// A failure of a verb.
#[derive(Debug)]
pub struct Failure {
    /// What is printed behind `bulkhead: `; empty prints nothing.
    pub message: String,
    /// Exit code.
    pub code: u8,
    /// Printed as it stands, without the program's name in front.
    pub bare: bool,
}

/// Result of a verb's steps.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Exit code 1, Docker's for most verbs.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1, bare: false }
    }

    /// Wrong flags: exit code 125, text as Docker prints it.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: NOT_STARTED, bare: true }
    }

    /// Only an exit code; whatever there was to say has been said.
    pub const fn silent(code: u8) -> Self {
        Self { message: String::new(), code, bare: true }
    }

    /// The same failure with another code unless it has a special one already.
    #[must_use]
    pub fn or_code(mut self, code: u8) -> Self {
        if self.code == 1 {
            self.code = code;
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<bulkhead_engine::Error> for Failure {
    fn from(error: bulkhead_engine::Error) -> Self {
        Self { code: error.exit_code.unwrap_or(1), message: error.message, bare: false }
    }
}

impl From<rustix::io::Errno> for Failure {
    fn from(errno: rustix::io::Errno) -> Self {
        io::Error::from(errno).into()
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::silent(BROKEN_PIPE);
        }
        Self::new(error.to_string())
    }
}

impl From<crate::template::TemplateError> for Failure {
    fn from(error: crate::template::TemplateError) -> Self {
        Self { message: format!("template parsing error: {error}"), code: 1, bare: false }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(format!("cannot write JSON: {error}"))
    }
}
