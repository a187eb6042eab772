//! Health: when the next check is due, and what a result means.

use std::time::{Duration, Instant};

use bulkhead_plan::control::HealthResult;
use bulkhead_plan::handover::Health;

/// Bytes of a check's output that are kept.
pub(crate) const KEPT_OUTPUT: usize = 4096;
/// Results that are kept.
const KEPT_RESULTS: usize = 5;

/// The states' names, as Docker shows them.
pub(crate) const STARTING: &str = "starting";
const HEALTHY: &str = "healthy";
const UNHEALTHY: &str = "unhealthy";

/// What is known about the health of a container. Checking starts in [`STARTING`].
#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) settings: Health,
    started: Instant,
    /// When the next check begins; `None` while one runs.
    pub(crate) due: Option<Instant>,
    state: &'static str,
    failures: u32,
    log: Vec<HealthResult>,
}

impl Checks {
    pub(crate) fn new(settings: Health, now: Instant) -> Self {
        let mut checks = Self { settings, started: now, due: None, state: STARTING, failures: 0, log: Vec::new() };
        checks.schedule(now);
        checks
    }

    /// State, failures in a row, last results.
    pub(crate) fn report(&self) -> (&'static str, u32, &[HealthResult]) {
        (self.state, self.failures, &self.log)
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.settings.timeout_ms)
    }

    fn schedule(&mut self, now: Instant) {
        let starting = self.state == STARTING && self.in_start_period(now);
        let pause = if starting { self.settings.start_interval_ms } else { self.settings.interval_ms };
        self.due = Some(now + Duration::from_millis(pause.max(1)));
    }

    fn in_start_period(&self, now: Instant) -> bool {
        now.duration_since(self.started) < Duration::from_millis(self.settings.start_period_ms)
    }

    /// Puts a check off by an interval: the container is frozen.
    pub(crate) fn put_off(&mut self, now: Instant) {
        self.schedule(now);
    }

    /// Takes a result in; true if the state has changed.
    pub(crate) fn finished(&mut self, result: HealthResult, now: Instant) -> bool {
        let before = self.state;
        if result.exit_code == 0 {
            self.failures = 0;
            self.state = HEALTHY;
        } else if !(self.state == STARTING && self.in_start_period(now)) {
            self.failures = self.failures.saturating_add(1);
            if self.failures >= self.settings.retries.max(1) {
                self.state = UNHEALTHY;
            }
        }
        if self.log.len() == KEPT_RESULTS {
            self.log.remove(0);
        }
        self.log.push(result);
        self.schedule(now);
        self.state != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(start_period_ms: u64, retries: u32) -> (Checks, Instant) {
        let settings = Health {
            exec: bulkhead_plan::control::Exec {
                process: bulkhead_plan::Process::default(),
                capabilities: None,
                own_program: false,
            },
            interval_ms: 1000,
            start_interval_ms: 100,
            timeout_ms: 500,
            start_period_ms,
            retries,
        };
        let now = Instant::now();
        (Checks::new(settings, now), now)
    }

    fn result(exit_code: i32) -> HealthResult {
        HealthResult { start: String::new(), end: String::new(), exit_code, output: String::new() }
    }

    #[test]
    fn failures_count_in_a_row_only() {
        let (mut checks, now) = checks(0, 3);
        assert!(!checks.finished(result(1), now) && !checks.finished(result(1), now));
        assert!(checks.finished(result(0), now));
        assert_eq!(checks.report().0, "healthy");
        assert!(!checks.finished(result(1), now) && !checks.finished(result(-1), now));
        assert!(checks.finished(result(2), now));
        assert_eq!((checks.report().0, checks.report().1, checks.report().2.len()), ("unhealthy", 3, 5));
        assert!(checks.finished(result(0), now));
    }

    #[test]
    fn the_start_period_forgives_failures_but_not_after_a_success() {
        let (mut checks, now) = checks(10_000, 1);
        assert_eq!(checks.due.unwrap() - now, Duration::from_millis(100));
        assert!(!checks.finished(result(1), now));
        assert_eq!(checks.report().1, 0);
        assert!(checks.finished(result(0), now));
        assert_eq!(checks.due.unwrap() - now, Duration::from_secs(1));
        assert!(checks.finished(result(1), now));
        let (mut late, now) = self::checks(10_000, 1);
        assert!(late.finished(result(1), now + Duration::from_secs(11)));
    }
}
