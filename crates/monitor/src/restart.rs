//! When to start again, and asking the engine for it.

use std::time::Duration;

use bulkhead_plan::control::RestartPolicy;
use bulkhead_types::ExitStatus;

/// First pause; doubled at each quick end.
const SHORTEST: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(60);
/// Who ran so long has recovered: the next pause is the shortest again.
const RECOVERED: Duration = Duration::from_secs(10);

/// True if the policy wants the container back.
pub(crate) fn wanted(policy: RestartPolicy, status: ExitStatus, restarts: u32, stopped_by_user: bool) -> bool {
    if stopped_by_user {
        return false;
    }
    match policy {
        RestartPolicy::No => false,
        RestartPolicy::OnFailure { max } => !status.success() && (max == 0 || restarts < max),
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
    }
}

/// How long to wait before. `last` is the pause before the run that has just ended, if it was started by the policy.
pub(crate) fn pause(last: Option<Duration>, ran: Duration) -> Duration {
    match last {
        Some(last) if ran < RECOVERED => (last * 2).clamp(SHORTEST, LONGEST),
        _ => SHORTEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let (failure, success) = (ExitStatus::Code(1), ExitStatus::Code(0));
        assert!(!wanted(RestartPolicy::No, failure, 0, false));
        assert!(wanted(RestartPolicy::OnFailure { max: 0 }, ExitStatus::Signal(9), 99, false));
        assert!(wanted(RestartPolicy::OnFailure { max: 2 }, failure, 1, false));
        assert!(!wanted(RestartPolicy::OnFailure { max: 2 }, failure, 2, false));
        assert!(!wanted(RestartPolicy::OnFailure { max: 0 }, success, 0, false));
        for policy in [RestartPolicy::Always, RestartPolicy::UnlessStopped] {
            assert!(wanted(policy, success, 1000, false));
            assert!(!wanted(policy, success, 0, true));
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_start_over_after_a_long_run() {
        let quick = Duration::from_secs(1);
        let mut last = None;
        let mut seen = Vec::new();
        for _ in 0..12 {
            last = Some(pause(last, quick));
            seen.extend(last.map(|pause| pause.as_millis()));
        }
        assert_eq!(seen[..4], [100, 200, 400, 800]);
        assert_eq!(seen[10..], [60_000, 60_000]);
        assert_eq!(pause(last, Duration::from_secs(11)), SHORTEST);
    }
}
