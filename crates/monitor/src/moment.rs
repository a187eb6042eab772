//! Points in time as texts.

use jiff::Timestamp;

/// Now, in RFC 3339 with nanoseconds, UTC.
pub(crate) fn now() -> String {
    text(Timestamp::now())
}

/// RFC 3339 with nanoseconds, UTC.
pub(crate) fn text(time: Timestamp) -> String {
    format!("{time:.9}")
}
