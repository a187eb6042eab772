//! The end of a container, in an order that a crash at any point cannot turn into a lie: output, walls, record, event,
//! and only then the word to anyone who waits.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use bulkhead_plan::control::{Exited, Packet, Reply};
use bulkhead_sys::root::Durability;
use bulkhead_types::ExitStatus;
use rustix::fs::{AtFlags, OFlags};

use crate::container::{Container, Phase};
use crate::failure::tolerate;
use crate::peer::Role;
use crate::{control, exec, exit, output, restart, stats, streams};

/// The pause of the last restart, in milliseconds, in the run directory: for the next monitor.
const PAUSE_FILE: &str = "restart-pause";

/// Called when the first process has ended.
pub(crate) fn end(container: &mut Container) {
    let Some(status) = exec::ended(&container.tenant) else { return };
    output::drain(container);
    let counters = container.cell.as_ref().and_then(stats::hits);
    let mut error = match container.cell.take().map(bulkhead_cell::Cell::demolish) {
        Some(Err(failed)) => failed.message,
        Some(Ok(())) | None => String::new(),
    };
    // Processes of a shared pid namespace have died with the cgroup only now.
    output::drain(container);
    container.streams.close();
    container.log.finish();
    container.probe = None;
    container.checks = None;
    for place in 0..container.execs.len() {
        control::collect_exec(container, place);
    }
    let killed = counters.as_ref().map_or(0, |counters| counters.oom_kills);
    if killed > container.oom.take().map_or(0, |oom| oom.told) {
        container.events.tell("oom", &[]);
    }
    let loss = container.log.loss();
    if !loss.is_empty() {
        error = if error.is_empty() { loss } else { format!("{error}; {loss}") };
    }
    let exited = write_record(container, exit::record(status, counters.as_ref(), error));
    container.events.tell("die", &attributes(container, status).each_ref().map(|(key, value)| (*key, value.as_str())));
    decide(container, status);
    tell(container, &exited);
    container.exited = Some(exited);
    container.state.pid = 0;
    container.state.paused = false;
}

fn attributes(container: &Container, status: ExitStatus) -> [(&'static str, String); 2] {
    let seconds = container.since.elapsed().as_secs().to_string();
    [("exitCode", status.code().to_string()), ("execDuration", seconds)]
}

/// `exit.json`. If it cannot be written (a full disk), who is told still learns it.
fn write_record(container: &Container, mut exited: Exited) -> Exited {
    let written = serde_json::to_vec(&exited).map_err(|error| error.to_string()).and_then(|json| {
        container.data_dir.replace("exit.json", &json, Durability::Process).map_err(|e| e.to_string())
    });
    if let Err(error) = written {
        exited.error = format!("the exit could not be recorded: {error}");
    }
    exited
}

/// Again, or for good. For good, the container no longer counts as running from here on.
fn decide(container: &mut Container, status: ExitStatus) {
    let rules = &container.rules;
    if restart::wanted(rules.restart, status, rules.restarts, container.stopping.for_good) {
        let last = last_pause(container);
        let pause = restart::pause(last, container.since.elapsed());
        let text = pause.as_millis().to_string();
        // Lost, the next pause is the shortest again.
        tolerate(container.run_dir.replace(PAUSE_FILE, text.as_bytes(), Durability::Process));
        container.phase = Phase::Resting(Instant::now() + pause);
        container.state.pid = 0;
        tolerate(container.save_state());
        return;
    }
    container.phase = Phase::Over;
    container.listener = None;
    // Nobody reads it any more; the run directory goes with the next start or the removal.
    tolerate(rustix::fs::unlinkat(container.run_dir.fd(), "state.json", AtFlags::empty()));
    container.lock = None;
}

fn last_pause(container: &Container) -> Option<Duration> {
    if container.rules.restarts == 0 {
        return None;
    }
    let bytes = container.run_dir.read(PAUSE_FILE, 32).ok()?;
    std::str::from_utf8(&bytes).ok()?.parse().ok().map(Duration::from_millis)
}

/// Tells attachments and waiters.
fn tell(container: &mut Container, exited: &Exited) {
    let packet = serde_json::to_vec(exited).unwrap_or_default();
    container.broadcast(Packet::Exited, &packet);
    for slot in 0..container.peers.len() {
        match container.peer(slot).map(|peer| peer.role) {
            Some(Role::Waiting) => container.reply_and_leave(slot, &Reply::Exited(exited.clone())),
            Some(Role::Attached { .. }) => {
                if let Some(peer) = container.peer(slot) {
                    peer.role = Role::Leaving;
                }
            }
            _ => {}
        }
    }
}

/// Connections that have nothing more to get go; those that have not asked are too late.
pub(crate) fn let_leave(container: &mut Container) {
    for slot in 0..container.peers.len() {
        if container.phase == Phase::Over
            && container.peer(slot).is_some_and(|peer| !matches!(peer.role, Role::Leaving))
        {
            container.dismiss(slot);
        }
        container.let_leave(slot);
    }
}

/// The last act: start again, remove, or nothing.
pub(crate) fn hand_back(mut container: Container) {
    let verb = match container.phase {
        Phase::Resting(_) => "restart",
        _ if container.rules.remove && !container.delivered && !container.stopping.engine_goes_on => "reap",
        _ => return,
    };
    container.listener = None;
    container.lock = None;
    let id = container.id.as_str().to_owned();
    let mut args = vec!["bulkhead"];
    args.extend(container.rules.engine_args.iter().map(String::as_str));
    args.extend(["internal", verb, &id]);
    let env: Vec<String> =
        std::env::vars_os().filter_map(|(key, value)| Some(format!("{}={}", key.to_str()?, value.to_str()?))).collect();
    let env: Vec<&str> = env.iter().map(String::as_str).collect();
    let started = streams::null(OFlags::RDWR).and_then(|null| {
        let fds = [(0, null.as_fd()), (1, null.as_fd()), (2, null.as_fd())];
        Ok(bulkhead_sys::spawn::program(container.engine.as_fd(), &args, &env, &fds)?)
    });
    if let (Err(failure), Some(exited)) = (started, container.exited.take()) {
        let error = format!("the engine could not be asked to {verb} the container: {}", failure.message);
        write_record(&container, Exited { error, ..exited });
    }
}
