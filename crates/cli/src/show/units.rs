//! Times and sizes in Docker's words.

use bulkhead_types::ByteSize;

/// Now, in seconds since the epoch.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// `About a minute`, `3 hours`, `2 weeks`.
pub fn human_duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds as f64 / 3600.0).round() as i64);
    match seconds {
        i64::MIN..=0 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".into(),
        120..3600 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".into(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// `3 hours ago`; `N/A` for no time.
pub fn ago(epoch: i64) -> String {
    if epoch <= 0 { "N/A".into() } else { format!("{} ago", human_duration(now() - epoch)) }
}

/// `2026-11-23 23:43:57 +0000 UTC`.
pub fn timestamp(epoch: i64) -> String {
    match jiff::Timestamp::from_second(epoch) {
        Ok(time) => time.to_string().replace('T', " ").replace('Z', " +0000 UTC"),
        Err(_) => String::new(),
    }
}

/// `2026-11-23T23:43:57Z`.
pub fn rfc3339(epoch: i64) -> String {
    jiff::Timestamp::from_second(epoch).map(|time| time.to_string()).unwrap_or_default()
}

/// Powers of 1000: `117MB`.
pub fn size(bytes: u64) -> String {
    ByteSize(bytes).to_string()
}

/// Powers of 1024: `1.5MiB`, as `stats` shows memory.
pub fn binary_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{}{}", significant(value), UNITS[unit])
}

/// Four significant digits without trailing zeros (Go's `%.4g`).
fn significant(value: f64) -> String {
    let before = if value >= 1000.0 {
        4
    } else if value >= 100.0 {
        3
    } else if value >= 10.0 {
        2
    } else {
        1
    };
    let text = format!("{value:.*}", 4 - before);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The first twelve digits of an id, with or without its algorithm.
pub fn short_id(id: &str) -> String {
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    digits.chars().take(12).collect()
}

/// At most `count` characters, the last of them an ellipsis.
pub fn ellipsis(text: &str, count: usize) -> String {
    if text.chars().count() <= count {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(count.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_words() {
        let table = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (180, "3 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (3600 * 47, "47 hours"),
            (3600 * 48, "2 days"),
            (86400 * 20, "2 weeks"),
            (86400 * 70, "2 months"),
            (86400 * 800, "2 years"),
        ];
        for (seconds, words) in table {
            assert_eq!(human_duration(seconds), words, "{seconds}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(binary_size(0), "0B");
        assert_eq!(binary_size(1536), "1.5KiB");
        assert_eq!(binary_size(7_700_000_000), "7.171GiB");
        assert_eq!(binary_size(1023 * 1024), "1023KiB");
        assert_eq!(ellipsis("abcdef", 4), "abc…");
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(timestamp(0), "1970-01-01 00:00:00 +0000 UTC");
    }
}
