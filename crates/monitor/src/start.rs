//! From the hand-over to a running container. Whatever fails, nothing is left behind and the engine hears why.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use bulkhead_cell::{Cell, Materials, Tenant};
use bulkhead_plan::control::RunState;
use bulkhead_plan::handover::{Answer, HandOver, NotStarted, Started};
use bulkhead_sys::event::{Interest, Poller, Signals};
use bulkhead_sys::lock::Lock;
use bulkhead_sys::root::Root;
use bulkhead_sys::socket::Channel;
use rustix::fs::{AtFlags, OFlags};

use crate::container::{Container, Oom, Phase, Rules, Stopping};
use crate::events::Events;
use crate::failure::Failure;
use crate::handover::{self, Bag, Received};
use crate::health::Checks;
use crate::logs::Log;
use crate::peer::{Peer, Watched};
use crate::streams::{self, Streams};
use crate::token::Source;
use crate::{control, moment};

/// `SIGHUP`, `SIGINT`, `SIGTERM`.
const SIGNALS: [i32; 3] = [1, 2, 15];

/// Receives, builds, answers. `None` if the container does not run; the engine was told why.
pub(crate) fn start(channel: Channel) -> Option<Container> {
    let started = detach().and_then(|()| handover::receive(&channel)).and_then(build);
    match started {
        Ok((mut container, warnings)) => {
            container.events.tell("start", &[]);
            let started = Started { pid: container.state.pid, warnings };
            handover::answer(&channel, &Answer::Started(started));
            drop(channel);
            watch_memory(&mut container);
            bulkhead_sys::inherited::trim_heap();
            Some(container)
        }
        Err(failure) => {
            let exit_code = failure.exit_code.unwrap_or(125);
            let answer = NotStarted { class: failure.class, message: failure.message, exit_code };
            handover::answer(&channel, &Answer::NotStarted(answer));
            None
        }
    }
}

/// Nothing of whoever started us is held: session, directory, standard streams, umask.
fn detach() -> Result<(), Failure> {
    let fail = |call: &'static str| move |errno: rustix::io::Errno| Failure::internal(format!("{call}: {errno}"));
    match rustix::process::setsid() {
        // Already the leader of a session: so we were started.
        Ok(_) | Err(rustix::io::Errno::PERM) => {}
        Err(errno) => return Err(fail("setsid")(errno)),
    }
    rustix::process::chdir("/").map_err(fail("chdir"))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let null = streams::null(OFlags::RDWR)?;
    rustix::stdio::dup2_stdin(&null).map_err(fail("dup2"))?;
    rustix::stdio::dup2_stdout(&null).map_err(fail("dup2"))?;
    rustix::stdio::dup2_stderr(&null).map_err(fail("dup2"))
}

/// What is opened before the cell is built.
struct Opened {
    run_dir: Root,
    data_dir: Root,
    engine: OwnedFd,
    lock: Lock,
    listener: OwnedFd,
    log: Log,
    events: Events,
    first: Option<Peer>,
    poller: Poller,
}

fn open(message: &mut HandOver, bag: &mut Bag) -> Result<Opened, Failure> {
    let handles = &message.handles;
    let run_dir = bag.take(handles.run_dir, "the run directory")?;
    let data_dir = bag.take(handles.data_dir, "the data directory")?;
    let lock = take_lock(&run_dir)?
        .ok_or_else(|| Failure::conflict(format!("container {} is running already", message.name)))?;
    let events = bag.take(handles.events, "the event log")?;
    let first = match &handles.attached {
        Some(attached) => {
            let channel = Channel::new(bag.take(attached.socket, "the attachment")?);
            Some(control::first_attachment(channel, attached.streams)?)
        }
        None => None,
    };
    Ok(Opened {
        engine: bag.take(handles.engine, "the engine")?,
        listener: bulkhead_sys::socket::listen(run_dir.as_fd(), "control.sock")?,
        log: Log::open(&data_dir, &message.logs)?,
        run_dir: Root::new(run_dir),
        data_dir: Root::new(data_dir),
        lock,
        events: Events::new(events, message.container.to_string(), std::mem::take(&mut message.attributes)),
        first,
        poller: Poller::new()?,
    })
}

/// An engine that asks whether somebody holds the lock holds it itself for a moment, so one refusal proves nothing.
fn take_lock(run_dir: &OwnedFd) -> Result<Option<Lock>, Failure> {
    for _ in 0..50 {
        if let Some(lock) = Lock::try_exclusive(run_dir.as_fd(), "lock")? {
            return Ok(Some(lock));
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    Ok(None)
}

fn build(received: Received) -> Result<(Container, Vec<String>), Failure> {
    let Received { mut message, mut bag } = received;
    let opened = open(&mut message, &mut bag)?;
    let (cell, tenant, streams) = launch(&message, bag)?;
    let warnings = cell.warnings().to_vec();
    match assemble(message, opened, (cell, tenant), streams) {
        Ok(container) => Ok((container, warnings)),
        Err((failure, cell)) => {
            let undone = cell.map(|cell| cell.demolish()).unwrap_or(Ok(()));
            Err(match undone {
                Ok(()) => failure,
                Err(second) => Failure { message: format!("{}; and afterwards: {second}", failure.message), ..failure },
            })
        }
    }
}

fn launch(message: &HandOver, mut bag: Bag) -> Result<(Cell, Tenant, Streams), Failure> {
    let root = bag.take(message.handles.root, "the root")?;
    let plan = &message.plan;
    let (pipes, stdio) = match plan.process.terminal {
        None => Streams::pipes(message.stdin_open).map(|(pipes, ends)| (Some(pipes), ends))?,
        Some(_) => {
            let null = || streams::null(OFlags::RDWR);
            (None, [null()?, null()?, null()?])
        }
    };
    let materials = Materials { plan, root, handles: bag.into_rest(), cgroup: message.cgroup.as_deref(), stdio };
    let (cell, mut tenant) = bulkhead_cell::launch(materials)?;
    let streams = match (pipes, tenant.terminal.take()) {
        (Some(pipes), _) => Ok(pipes),
        (None, Some(terminal)) => Streams::terminal(terminal),
        (None, None) => Err(Failure::internal("the cell has no terminal although the plan asks for one")),
    };
    match streams {
        Ok(streams) => Ok((cell, tenant, streams)),
        Err(failure) => {
            cell.demolish()?;
            Err(failure)
        }
    }
}

type Built = (Cell, Tenant);

fn assemble(
    message: HandOver,
    opened: Opened,
    (cell, tenant): Built,
    streams: Streams,
) -> Result<Container, (Failure, Option<Box<Cell>>)> {
    let signals = match Signals::new(&SIGNALS) {
        Ok(signals) => signals,
        Err(error) => return Err((error.into(), Some(Box::new(cell)))),
    };
    let since = Instant::now();
    let state = RunState {
        pid: tenant.pid,
        // One that has ended already has no start any more, and is found dead by its pidfd.
        pid_start: bulkhead_sys::process::start_time(tenant.pid).unwrap_or(0),
        monitor_pid: std::process::id(),
        started_at: moment::now(),
        paused: false,
        health: None,
        failing_streak: 0,
        health_log: Vec::new(),
        walls: cell.walls(),
    };
    let rules = Rules {
        restart: message.restart,
        restarts: message.restarts,
        remove: message.remove,
        stdin_once: message.stdin_once,
        stop_signal: message.stop_signal,
        stop_timeout: message.stop_timeout,
        engine_args: message.engine_args,
        oom_group: message.plan.limits.oom_group,
    };
    let mut container = Container {
        id: message.container,
        rules,
        poller: opened.poller,
        listener: Some(opened.listener),
        signals,
        lock: Some(opened.lock),
        run_dir: opened.run_dir,
        data_dir: opened.data_dir,
        engine: opened.engine,
        events: opened.events,
        log: opened.log,
        streams,
        cell: Some(cell),
        tenant,
        end_watched: Watched::default(),
        state,
        since,
        stopping: Stopping::default(),
        oom: None,
        checks: message.health.map(|health| Checks::new(health, since)),
        probe: None,
        peers: Vec::new(),
        execs: Vec::new(),
        exited: None,
        phase: Phase::Running,
        delivered: false,
    };
    if let Some(first) = opened.first {
        container.admit(first);
    }
    match ready(&mut container) {
        Ok(()) => Ok(container),
        Err(failure) => Err((failure, container.cell.take().map(Box::new))),
    }
}

fn ready(container: &mut Container) -> Result<(), Failure> {
    // The end that a former run wrote must not be taken for this one's.
    match rustix::fs::unlinkat(container.data_dir.fd(), "exit.json", AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(errno) => return Err(Failure::internal(format!("the old exit.json cannot be removed: {errno}"))),
    }
    if let Some(listener) = &container.listener {
        container.poller.add(listener.as_fd(), Source::Listener.token(), Interest::READ)?;
    }
    container.poller.add(container.signals.as_fd(), Source::Signals.token(), Interest::READ)?;
    container.save_state()
}

/// Asks to be told of kills for lack of memory. After the answer, because nobody waits for it; without it a kill is
/// still found at the end.
fn watch_memory(container: &mut Container) {
    let group = container.cell.as_ref().and_then(|cell| cell.group());
    let Some(Ok(Some(notice))) = group.map(|group| group.oom_notice()) else { return };
    let interest = if notice.v2 { Interest::URGENT } else { Interest::READ };
    if container.poller.add(notice.fd.as_fd(), Source::Oom.token(), interest).is_ok() {
        container.oom = Some(Oom { fd: notice.fd, v2: notice.v2, told: 0, look: None });
    }
}
