//! What the room hands out.

use bulkhead_types::{Classified, ErrorClass};

/// What went wrong with which layer, volume or path, with the cure.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Class.
    pub class: ErrorClass,
    /// The whole text.
    pub message: String,
}

impl Error {
    /// A new error.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }
}

impl From<bulkhead_sys::SysError> for Error {
    fn from(error: bulkhead_sys::SysError) -> Self {
        use rustix::io::Errno;
        let errno = Errno::from_raw_os_error(error.raw());
        let (class, cure) = match errno {
            Errno::ACCESS | Errno::PERM => (ErrorClass::Denied, ""),
            Errno::NOSPC | Errno::DQUOT => (ErrorClass::Internal, "; free some space (bulkhead system prune)"),
            Errno::ROFS => (ErrorClass::Internal, "; the store needs a writable file system (--root DIR)"),
            _ => (ErrorClass::Internal, ""),
        };
        Self { class, message: format!("{error}{cure}") }
    }
}

impl Classified for Error {
    fn class(&self) -> ErrorClass {
        self.class
    }
}

/// How a container's file system differs from its image, as `docker diff` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// `C`
    Changed,
    /// `A`
    Added,
    /// `D`
    Deleted,
}

/// One changed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// How.
    pub kind: ChangeKind,
    /// Absolute path inside, lossy.
    pub path: String,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Volume {
    /// Name; 64 hex digits for an anonymous one.
    pub name: String,
    /// Made without a name.
    pub anonymous: bool,
    /// RFC 3339.
    pub created_at: String,
    /// Labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Driver options (`type=tmpfs`, …); `local` only.
    pub options: std::collections::BTreeMap<String, String>,
}

/// How a bind mount of a host path is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BindOptions {
    /// Include mounts below it.
    pub recursive: bool,
    /// Make the path as a directory if it is missing (`-v`, not `--mount`).
    pub create: bool,
}

/// An opened bind source.
#[derive(Debug)]
pub struct Bound {
    /// Detached, idmapped mount.
    pub mount: std::os::fd::OwnedFd,
    /// True for anything but a directory.
    pub file: bool,
    /// The path after links, for `inspect`.
    pub resolved: std::path::PathBuf,
}
