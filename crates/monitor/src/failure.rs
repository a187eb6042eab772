//! Why a request or a start was refused.

use bulkhead_plan::control::Reply;
use bulkhead_sys::SysError;
use bulkhead_types::ErrorClass;

/// What, why and the cure, with its class and, where a door has a fixed one, the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: ErrorClass,
    pub(crate) message: String,
    pub(crate) exit_code: Option<u8>,
}

impl Failure {
    pub(crate) fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), exit_code: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Invalid, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Conflict, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Internal, message)
    }

    /// What needs a cgroup where there is none.
    pub(crate) fn no_cgroup(what: &str) -> Self {
        Self::new(
            ErrorClass::Unsupported,
            format!(
                "{what} needs a cgroup, and this container has none: run as root, or have one delegated to you \
                 (systemd: Delegate=yes)"
            ),
        )
    }
}

impl From<SysError> for Failure {
    fn from(error: SysError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<bulkhead_cell::StepFailed> for Failure {
    fn from(failed: bulkhead_cell::StepFailed) -> Self {
        Self { class: failed.class, message: failed.message, exit_code: Some(failed.exit_code) }
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        Self::Failed { class: failure.class, message: failure.message, exit_code: failure.exit_code }
    }
}

/// For a call whose failure changes nothing; the reason stands beside each use.
pub(crate) fn tolerate<T, E>(_: Result<T, E>) {}
