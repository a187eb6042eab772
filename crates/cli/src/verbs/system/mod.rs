//! Verbs about the whole.

pub mod df;
pub mod prune;
pub mod release;
pub mod reset;
