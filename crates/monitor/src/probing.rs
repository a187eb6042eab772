//! Runs health checks when they are due.

use std::time::Instant;

use bulkhead_plan::control::HealthResult;
use bulkhead_types::ExitStatus;
use rustix::fs::OFlags;

use crate::container::Container;
use crate::exec::Probe;
use crate::failure::Failure;
use crate::{moment, streams};

/// Begins a check. One that cannot even begin has failed.
pub(crate) fn begin(container: &mut Container) {
    let now = Instant::now();
    let Some(checks) = &mut container.checks else { return };
    checks.due = None;
    if container.state.paused {
        checks.put_off(now);
        return;
    }
    let deadline = now + checks.timeout();
    let start = moment::now();
    match spawn(container, start.clone(), deadline) {
        Ok(probe) => container.probe = Some(probe),
        Err(failure) => {
            let output = failure.message;
            finish(container, HealthResult { start, end: moment::now(), exit_code: -1, output });
        }
    }
}

fn spawn(container: &Container, start: String, deadline: Instant) -> Result<Probe, Failure> {
    let Some(checks) = &container.checks else { return Err(Failure::internal("there is no health check")) };
    let (read, write) = streams::pipe()?;
    streams::nonblocking(&read)?;
    let error = rustix::io::fcntl_dupfd_cloexec(&write, 0)
        .map_err(|errno| Failure::internal(format!("a descriptor cannot be copied: {errno}")))?;
    let stdio = [streams::null(OFlags::RDONLY)?, write, error];
    let tenant = container.cell()?.exec(&checks.settings.exec, Some(stdio), None)?;
    Ok(Probe::new(tenant, read, start, deadline))
}

/// Ends a check that takes too long; its result follows with its end.
pub(crate) fn expire(container: &mut Container) {
    if let Some(probe) = &mut container.probe {
        probe.kill();
    }
}

/// Collects a check that has ended.
pub(crate) fn collect(container: &mut Container) {
    let Some(status) = container.probe.as_ref().and_then(Probe::ended) else { return };
    let Some(mut probe) = container.probe.take() else { return };
    probe.read();
    let late = probe.deadline.is_none();
    let timeout = container.checks.as_ref().map_or(0, |checks| checks.timeout().as_millis());
    let (exit_code, output) = match status {
        _ if late => (-1, format!("Health check exceeded timeout ({timeout} ms)")),
        ExitStatus::Code(_) | ExitStatus::Signal(_) => {
            (i32::from(status.code()), String::from_utf8_lossy(&probe.output).into_owned())
        }
    };
    finish(container, HealthResult { start: probe.start, end: moment::now(), exit_code, output });
}

fn finish(container: &mut Container, result: HealthResult) {
    let Some(checks) = &mut container.checks else { return };
    if checks.finished(result, Instant::now()) {
        let state = checks.report().0;
        container.events.tell(&format!("health_status: {state}"), &[]);
    }
    if let Err(failure) = container.save_state() {
        // A full /run: the state is still answered from memory.
        container.state.health_log.clear();
        drop(failure);
    }
}
