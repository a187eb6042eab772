//! What is written down at the end.

use bulkhead_plan::control::{Exited, Stats};
use bulkhead_types::ExitStatus;

use crate::moment;

/// The record of an end. `counters` are those of the cgroup just before it was removed.
pub(crate) fn record(status: ExitStatus, counters: Option<&Stats>, error: String) -> Exited {
    let oom_killed = counters.is_some_and(|counters| counters.oom_kills > 0);
    let limit = counters.map(limits_hit).unwrap_or_default();
    Exited { status, oom_killed, limit, finished_at: moment::now(), error }
}

/// Which limits were hit, with the number and the option that raises it.
fn limits_hit(counters: &Stats) -> String {
    let mut words = Vec::new();
    if counters.oom_kills > 0 {
        words.push(if counters.memory_limit == u64::MAX {
            "the host ran out of memory and the kernel killed a process of this container".to_owned()
        } else {
            format!("memory limit of {} reached: raise it with --memory", bytes(counters.memory_limit))
        });
    }
    if counters.pids_refused > 0 && counters.pids_limit != u64::MAX {
        let times =
            if counters.pids_refused == 1 { "once".to_owned() } else { format!("{} times", counters.pids_refused) };
        words.push(format!("process limit of {} reached ({times}): raise it with --pids-limit", counters.pids_limit));
    }
    words.join("; ")
}

/// `64 MiB`, `1.5 GiB`, `1000 bytes`.
fn bytes(number: u64) -> String {
    for (unit, size) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if number >= size {
            let tenths = u128::from(number) * 10 / u128::from(size);
            let (whole, tenth) = (tenths / 10, tenths % 10);
            return if tenth == 0 { format!("{whole} {unit}") } else { format!("{whole}.{tenth} {unit}") };
        }
    }
    format!("{number} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named_with_number_and_option() {
        let counters = Stats { oom_kills: 1, memory_limit: 64 << 20, ..Stats::default() };
        let exited = record(ExitStatus::Signal(9), Some(&counters), String::new());
        assert!(exited.oom_killed);
        assert_eq!(exited.limit, "memory limit of 64 MiB reached: raise it with --memory");
        let counters =
            Stats { pids_refused: 3, pids_limit: 100, oom_kills: 1, memory_limit: u64::MAX, ..Stats::default() };
        let exited = record(ExitStatus::Code(0), Some(&counters), String::new());
        assert!(
            exited.limit.contains("host ran out of memory") && exited.limit.contains("limit of 100 reached (3 times)")
        );
        assert_eq!(record(ExitStatus::Code(0), None, String::new()).limit, "");
    }

    #[test]
    fn sizes_in_words() {
        assert_eq!(bytes(64 << 20), "64 MiB");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
        assert_eq!(bytes(999), "999 bytes");
    }
}
