//! Verbs about images.

pub mod base;
pub mod from_binary;
pub mod history;
pub mod import;
pub mod inspect;
pub mod load;
pub mod lock;
pub mod ls;
pub mod prune;
pub mod pull;
pub mod push;
pub mod rm;
pub mod save;
pub mod tag;

use bulkhead_types::ImageRef;

use crate::failure::{Failure, Result};

/// A reference from the command line.
fn reference(text: &str) -> Result<ImageRef> {
    text.parse().map_err(|error: bulkhead_types::ReferenceError| Failure::new(error.to_string()))
}
