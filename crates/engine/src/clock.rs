//! Times as Docker writes and reads them.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Error, Result};

/// What Docker writes for "never".
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// Now, RFC 3339 with nanoseconds, UTC.
pub(crate) fn now() -> String {
    format!("{:.9}", Timestamp::now())
}

/// Seconds since the epoch; 0 for what is no time.
pub(crate) fn seconds(rfc3339: &str) -> i64 {
    rfc3339.parse::<Timestamp>().map_or(0, Timestamp::as_second)
}

/// Since that time; zero for the future and for what is no time.
pub(crate) fn since(rfc3339: &str) -> Duration {
    let Ok(then) = rfc3339.parse::<Timestamp>() else { return Duration::ZERO };
    Duration::try_from(Timestamp::now().duration_since(then)).unwrap_or_default()
}

/// A moment as `--since` and `--until` take it: RFC 3339, a date, a Unix time with a fraction, or a Go duration
/// before now.
///
/// # Errors
/// If it is none of these.
pub(crate) fn moment(text: &str) -> Result<Timestamp> {
    let bad = || {
        Error::invalid(format!(
            "invalid value for a time: {text:?}: write RFC 3339 (2026-11-23T12:00:00Z), a Unix time or a duration before now (10m)"
        ))
    };
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Some(time) = unix(text) {
        return Ok(time);
    }
    if let Ok(before) = bulkhead_types::parse_duration(text) {
        return Timestamp::now().checked_sub(before).map_err(|_| bad());
    }
    for form in ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"] {
        if let Ok(civil) = jiff::civil::DateTime::strptime(form, text) {
            return jiff::tz::TimeZone::UTC.to_timestamp(civil).map_err(|_| bad());
        }
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        return jiff::tz::TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_err(|_| bad());
    }
    Err(bad())
}

/// `1136073600` or `1136073600.000000001`.
fn unix(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds: i64 = whole.parse().ok()?;
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: i32 = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds, nanoseconds).ok()
}

/// `5 minutes`, `About an hour`: Docker's words for an age.
pub(crate) fn words(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".into(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".into(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_in_dockers_words() {
        let of = |seconds| words(Duration::from_secs(seconds));
        assert_eq!(of(0), "Less than a second");
        assert_eq!(of(59), "59 seconds");
        assert_eq!(of(61), "About a minute");
        assert_eq!(of(600), "10 minutes");
        assert_eq!(of(3600), "About an hour");
        assert_eq!(of(3600 * 30), "30 hours");
        assert_eq!(of(86400 * 3), "3 days");
    }

    #[test]
    fn moments() {
        assert_eq!(moment("1136073600.5").unwrap().as_millisecond(), 1_136_073_600_500);
        assert_eq!(moment("2006-01-01T00:00:00Z").unwrap().as_second(), 1_136_073_600);
        assert_eq!(moment("2006-01-01").unwrap().as_second(), 1_136_073_600);
        assert_eq!(moment("2006-01-01T00:00:00").unwrap().as_second(), 1_136_073_600);
        assert!(moment("10m").unwrap() < Timestamp::now());
        assert!(moment("yesterday").is_err());
    }

    #[test]
    fn now_has_nine_digits() {
        let text = now();
        assert_eq!(text.len(), "2026-11-23T23:43:56.123456789Z".len(), "{text}");
    }
}
