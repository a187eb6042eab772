//! Errors and small results.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;

use bulkhead_types::{Classified, ContainerId, Digest, ErrorClass, ExitStatus, ImageRef};

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

impl Error {
    /// The request is malformed or contradicts itself.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Invalid, message)
    }

    /// The named thing does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::NotFound, message)
    }

    /// The state of the named thing does not permit the request.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Conflict, message)
    }

    /// This build cannot do it.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Unsupported, message)
    }

    /// A full disk, a damaged store, a bug.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Internal, message)
    }

    /// With a fixed exit code.
    pub(crate) fn exiting(mut self, code: u8) -> Self {
        self.exit_code = Some(code);
        self
    }

    /// An input or output error on one of the engine's own files.
    pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |error| {
            let cure = match error.kind() {
                std::io::ErrorKind::StorageFull => ": the disk is full; free some space and repeat",
                std::io::ErrorKind::PermissionDenied => ": run as the user who owns it",
                _ => "",
            };
            Self::internal(format!("{}: {error}{cure}", path.display()))
        }
    }
}

impl From<bulkhead_image::Error> for Error {
    fn from(error: bulkhead_image::Error) -> Self {
        Self::new(error.class, error.message)
    }
}

impl From<bulkhead_rootfs::Error> for Error {
    fn from(error: bulkhead_rootfs::Error) -> Self {
        Self::new(error.class, error.message)
    }
}

impl From<bulkhead_plan::PlanError> for Error {
    fn from(error: bulkhead_plan::PlanError) -> Self {
        Self::new(error.class, error.message)
    }
}

impl From<bulkhead_sys::SysError> for Error {
    fn from(error: bulkhead_sys::SysError) -> Self {
        Self::internal(error.to_string())
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

/// A recorded container.
#[derive(Clone, Debug)]
pub struct Created {
    /// Its id.
    pub id: ContainerId,
    /// What weakens it, in the order it was asked for.
    pub concessions: Vec<bulkhead_plan::Concession>,
    /// Sentences for the user.
    pub warnings: Vec<String>,
}

/// A started container.
#[derive(Debug)]
pub struct StartedContainer {
    /// Its id.
    pub id: ContainerId,
    /// Sentences for the user.
    pub warnings: Vec<String>,
    /// If one was asked for.
    pub attachment: Option<Attachment>,
}

/// A fetched image.
#[derive(Clone, Debug)]
pub struct PulledImage {
    /// Image id.
    pub id: Digest,
    /// Manifest digest.
    pub digest: Digest,
    /// Name.
    pub reference: ImageRef,
    /// False if it was here already.
    pub changed: bool,
}

/// Something inside a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStat {
    /// Last component.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// `st_mode`.
    pub mode: u32,
    /// Seconds since the epoch.
    pub mtime: i64,
    /// Of a link.
    pub link_target: String,
}
