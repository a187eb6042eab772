//! What the user sees: tables, times, sizes, templates, progress.

pub mod format;
pub mod progress;
pub mod table;
pub mod units;

pub use format::{Format, Row};
