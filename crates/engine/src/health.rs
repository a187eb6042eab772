//! `--health-*` and the image's `HEALTHCHECK`.

use std::time::Duration;

use bulkhead_image::config::Healthcheck;
use bulkhead_plan::Process;
use bulkhead_plan::control::Exec;
use bulkhead_plan::handover::Health;

use crate::model::{Error, Result};
use crate::request::HealthRequest;

const MILLISECOND: i64 = 1_000_000;

/// Request over image. `None` if there is no check.
///
/// # Errors
/// In Docker's words.
pub(crate) fn merge(request: &HealthRequest, image: Option<&Healthcheck>) -> Result<Option<Healthcheck>> {
    let has_options = request.cmd.is_some()
        || request.interval.is_some()
        || request.timeout.is_some()
        || request.start_period.is_some()
        || request.start_interval.is_some()
        || request.retries.is_some();
    if request.disable {
        if has_options {
            return Err(Error::invalid("--no-healthcheck conflicts with --health-* options"));
        }
        return Ok(Some(Healthcheck { test: vec!["NONE".into()], ..Healthcheck::default() }));
    }
    let mut merged = image.cloned().unwrap_or_default();
    if let Some(command) = request.cmd.as_ref().filter(|command| !command.is_empty()) {
        merged.test = vec!["CMD-SHELL".into(), command.clone()];
    }
    set(&mut merged.interval, request.interval, "--health-interval")?;
    set(&mut merged.timeout, request.timeout, "--health-timeout")?;
    set(&mut merged.start_period, request.start_period, "--health-start-period")?;
    set(&mut merged.start_interval, request.start_interval, "--health-start-interval")?;
    if let Some(retries) = request.retries {
        merged.retries = i64::from(retries);
    }
    Ok(Some(merged).filter(|check| !check.test.is_empty() || has_options))
}

fn set(place: &mut i64, value: Option<Duration>, option: &str) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    let nanoseconds =
        i64::try_from(value.as_nanos()).map_err(|_| Error::invalid(format!("{option}: the duration is too long")))?;
    if nanoseconds != 0 && nanoseconds < MILLISECOND {
        return Err(Error::invalid(format!("{option} cannot be less than 1ms")));
    }
    *place = nanoseconds;
    Ok(())
}

/// For the monitor: defaults filled in. `process` has the container's environment, user and directory.
pub(crate) fn for_monitor(check: &Healthcheck, shell: &[String], process: Process) -> Option<Health> {
    let args = match check.test.split_first() {
        Some((first, rest)) if first == "CMD" && !rest.is_empty() => rest.to_vec(),
        Some((first, rest)) if first == "CMD-SHELL" && !rest.is_empty() => {
            let shell = if shell.is_empty() { &["/bin/sh".to_owned(), "-c".to_owned()] } else { shell };
            shell.iter().chain(rest.first()).cloned().collect()
        }
        _ => return None,
    };
    let milliseconds = |value: i64, default: u64| match u64::try_from(value / MILLISECOND) {
        Ok(0) | Err(_) => default,
        Ok(value) => value,
    };
    Some(Health {
        exec: Exec { process: Process { args, terminal: None, ..process }, capabilities: None, own_program: false },
        interval_ms: milliseconds(check.interval, 30_000),
        start_interval_ms: milliseconds(check.start_interval, 5_000),
        timeout_ms: milliseconds(check.timeout, 30_000),
        start_period_ms: milliseconds(check.start_period, 0),
        retries: u32::try_from(check.retries).ok().filter(|retries| *retries > 0).unwrap_or(3),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_goes_over_the_image() {
        let image = Healthcheck { test: vec!["CMD".into(), "x".into()], interval: 5_000_000_000, ..Default::default() };
        let request = HealthRequest { cmd: Some("true".into()), retries: Some(2), ..Default::default() };
        let merged = merge(&request, Some(&image)).unwrap().unwrap();
        assert_eq!(merged.test, ["CMD-SHELL", "true"]);
        let health = for_monitor(&merged, &[], Process::default()).unwrap();
        assert_eq!(health.exec.process.args, ["/bin/sh", "-c", "true"]);
        assert_eq!((health.interval_ms, health.timeout_ms, health.retries), (5_000, 30_000, 2));
    }

    #[test]
    fn none_is_no_check() {
        assert!(merge(&HealthRequest::default(), None).unwrap().is_none());
        let off = HealthRequest { disable: true, ..Default::default() };
        let merged = merge(&off, None).unwrap().unwrap();
        assert!(for_monitor(&merged, &[], Process::default()).is_none());
        let both = HealthRequest { disable: true, cmd: Some("x".into()), ..Default::default() };
        assert_eq!(merge(&both, None).unwrap_err().message, "--no-healthcheck conflicts with --health-* options");
        let short = HealthRequest { interval: Some(Duration::from_nanos(1)), ..Default::default() };
        assert!(merge(&short, None).unwrap_err().message.contains("1ms"));
    }
}
