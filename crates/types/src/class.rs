//! Seven words that every error of every room falls under; doors map them to exit codes and HTTP statuses.

use serde::{Deserialize, Serialize};

/// What kind of failure this is, for the caller who must react to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The request contradicts itself or is malformed; nothing was changed.
    Invalid,
    /// The named thing does not exist.
    NotFound,
    /// The named thing exists already, or its state does not permit the request.
    Conflict,
    /// The caller or the host lacks a right; the text ends with the cure.
    Denied,
    /// This kernel, build or level cannot do it; the text ends with the cure.
    Unsupported,
    /// A peer (registry, archive, network) did not answer or answered wrongly.
    Unavailable,
    /// A bug, a full disk, a damaged store.
    Internal,
}

impl ErrorClass {
    /// The HTTP status that Docker's API uses for this class.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Denied => 403,
            Self::Unsupported => 501,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }
}

/// An error that knows its class.
pub trait Classified: std::error::Error {
    /// The class of this error.
    fn class(&self) -> ErrorClass;
}
