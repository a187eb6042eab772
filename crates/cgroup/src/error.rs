//! The room's one error.

use bulkhead_types::{Classified, ErrorClass};
use rustix::io::Errno;

/// What went wrong with which file.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Class.
    pub class: ErrorClass,
    /// What, why, cure.
    pub message: String,
}

impl Classified for Error {
    fn class(&self) -> ErrorClass {
        self.class
    }
}

impl Error {
    pub(crate) fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    /// A call on one file or directory that the kernel refused.
    pub(crate) fn file(what: &str, file: &str, errno: Errno) -> Self {
        let (class, cure) = match errno {
            Errno::ACCESS | Errno::PERM | Errno::ROFS => (
                ErrorClass::Denied,
                "; run as root, or have the group delegated to you (systemd: Delegate=yes), or see that the cgroup file \
                 system is mounted writable",
            ),
            Errno::INVAL | Errno::RANGE | Errno::OVERFLOW => (ErrorClass::Invalid, ""),
            Errno::NOENT => (ErrorClass::NotFound, ""),
            Errno::BUSY => (ErrorClass::Conflict, ""),
            _ => (ErrorClass::Internal, ""),
        };
        Self::new(class, format!("cannot {what} {file}: {errno}{cure}"))
    }

    /// A limit whose controller this host does not offer.
    pub(crate) fn missing(limit: &str, controller: &str, option: &str) -> Self {
        Self::new(
            ErrorClass::Unsupported,
            format!(
                "{limit} cannot be limited: this host has no cgroup controller {controller}; enable it in the kernel \
                 (see /proc/cgroups and the boot option cgroup_enable={controller}) or leave {option} out"
            ),
        )
    }
}
