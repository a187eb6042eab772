//! What clients ask for. One request a connection; an attachment goes on with stream packets, an exec with signals and
//! sizes.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use bulkhead_plan::control::{Exec, IN_MEMFD, MAX_PACKET, Packet, Reply, Request, Streams};
use bulkhead_plan::{Limits, TerminalSize};
use bulkhead_sys::socket::Channel;
use bulkhead_types::ErrorClass;

use crate::container::{Container, Phase};
use crate::exec::Running;
use crate::failure::{Failure, tolerate};
use crate::peer::{Gone, Peer, Role};
use crate::{handover, stats};

/// Most connections at a time; one more is closed at once.
const MOST_PEERS: usize = 256;
/// Most processes by exec at a time.
const MOST_EXECS: usize = 1024;

/// Takes a new connection in. Only this user and root may ask anything; the socket's mode says the same.
pub(crate) fn accept(container: &mut Container) {
    let Some(listener) = &container.listener else { return };
    let Ok(channel) = bulkhead_sys::socket::accept(listener.as_fd()) else { return };
    let Ok(peer) = Peer::new(channel, Role::Fresh) else { return };
    if peer.is_trusted() && container.peers.iter().flatten().count() < MOST_PEERS {
        container.admit(peer);
    } else {
        peer.finish(&container.poller);
    }
}

/// Reads what a connection has to say.
pub(crate) fn read(container: &mut Container, slot: usize) {
    let Some(peer) = container.peer(slot) else { return };
    let hung_up = peer.hung_up;
    match peer.receive(MAX_PACKET + 1) {
        Ok(None) => {}
        Err(Gone) => ended(container, slot, hung_up),
        Ok(Some((packet, fds))) => match container.peer(slot).map(|peer| peer.role) {
            Some(Role::Fresh) => request(container, slot, packet, fds),
            Some(Role::Attached { streams, .. }) => stream_packet(container, slot, streams, &packet),
            Some(Role::Exec(exec)) => exec_packet(container, exec, &packet),
            Some(Role::Waiting | Role::Leaving) | None => {}
        },
    }
}

/// The other end has sent its last: it is gone, or only done sending.
fn ended(container: &mut Container, slot: usize, hung_up: bool) {
    let Some(peer) = container.peer(slot) else { return };
    if hung_up || !matches!(peer.role, Role::Attached { .. } | Role::Waiting | Role::Exec(_)) {
        return container.dismiss(slot);
    }
    peer.deaf = true;
    if let Role::Attached { streams: Streams { stdin: true, .. }, .. } = peer.role
        && container.rules.stdin_once
    {
        container.streams.end_input();
    }
}

fn request(container: &mut Container, slot: usize, packet: Vec<u8>, mut fds: Vec<OwnedFd>) {
    let parsed = unpack(packet, &mut fds).and_then(|bytes| {
        serde_json::from_slice::<Request>(&bytes)
            .map_err(|error| Failure::invalid(format!("the request cannot be read: {error}")))
    });
    let done = parsed.and_then(|request| answer(container, slot, request, fds));
    match done {
        Ok(Some(reply)) => container.reply_and_leave(slot, &reply),
        Ok(None) => {}
        Err(failure) => container.reply_and_leave(slot, &failure.into()),
    }
}

/// The request's bytes, from the packet or from the memfd that came instead.
fn unpack(packet: Vec<u8>, fds: &mut Vec<OwnedFd>) -> Result<Vec<u8>, Failure> {
    if packet != IN_MEMFD {
        return Ok(packet);
    }
    if fds.is_empty() {
        return Err(Failure::invalid("the request's memfd is missing"));
    }
    handover::read_memory(fds.remove(0))
}

/// Does what is asked. `None`: the answer was given, or comes later.
fn answer(
    container: &mut Container,
    slot: usize,
    request: Request,
    fds: Vec<OwnedFd>,
) -> Result<Option<Reply>, Failure> {
    if let Some(reply) = answer_at_rest(container, &request)? {
        return Ok(Some(reply));
    }
    match request {
        Request::Attach(streams) => attach(container, slot, streams),
        Request::Exec(exec) => start_exec(container, slot, &exec, fds).map(|()| None),
        Request::Signal { signal } => {
            if signal == 9 || signal == container.rules.stop_signal {
                container.stopping.for_good = true;
            }
            container.signal(signal)?;
            if signal == 9 {
                container.thaw()?;
            }
            Ok(Some(Reply::Done))
        }
        Request::Stop { signal, timeout, restart } => {
            container.stopping.for_good = true;
            container.stopping.engine_goes_on |= restart;
            let signal = signal.unwrap_or(container.rules.stop_signal);
            let seconds = timeout.unwrap_or(i64::from(container.rules.stop_timeout));
            container.begin_stop(signal, u64::try_from(seconds).ok().map(Duration::from_secs))?;
            wait(container, slot)
        }
        Request::Wait => wait(container, slot),
        Request::Pause => set_frozen(container, true),
        Request::Unpause => set_frozen(container, false),
        Request::Update { limits, restart } => {
            if *limits != Limits::default() {
                container.cell()?.update(&limits)?;
            }
            container.rules.restart = restart.unwrap_or(container.rules.restart);
            Ok(Some(Reply::Done))
        }
        Request::Stats => {
            let stats = stats::read(container.cell()?, container.tenant.pid);
            stats.map(|stats| Some(Reply::Stats(Box::new(stats)))).ok_or_else(|| Failure::no_cgroup("stats"))
        }
        Request::Processes => {
            let pids = stats::processes(container.cell()?, container.tenant.pid)?;
            Ok(Some(Reply::Processes { pids }))
        }
        Request::Resize(size) => container.streams.resize(size).map(|()| Some(Reply::Done)),
        Request::State => Ok(Some(Reply::State(container.state.clone()))),
        Request::Root => {
            let root = container.cell()?.root()?;
            container.reply(slot, &Reply::Root, &[root.as_fd()]);
            leave(container, slot);
            Ok(None)
        }
    }
}

/// Between two runs there is only its end to talk about, and whether there will be a next one.
fn answer_at_rest(container: &mut Container, request: &Request) -> Result<Option<Reply>, Failure> {
    let Some(exited) = container.exited.clone() else { return Ok(None) };
    match request {
        Request::State => Ok(None),
        Request::Wait => Ok(Some(Reply::Exited(exited))),
        Request::Stop { restart, .. } => {
            container.stopping.for_good = true;
            container.stopping.engine_goes_on |= restart;
            container.phase = Phase::Over;
            // Whoever asked may start or remove it as soon as he has the answer.
            container.listener = None;
            container.lock = None;
            Ok(Some(Reply::Exited(exited)))
        }
        Request::Update { limits, restart } if **limits == Limits::default() => {
            container.rules.restart = restart.unwrap_or(container.rules.restart);
            Ok(Some(Reply::Done))
        }
        _ => Err(Failure::conflict(format!(
            "container {} is restarting, wait until the container is running",
            container.id
        ))),
    }
}

fn leave(container: &mut Container, slot: usize) {
    if let Some(peer) = container.peer(slot) {
        peer.role = Role::Leaving;
    }
    container.let_leave(slot);
}

fn wait(container: &mut Container, slot: usize) -> Result<Option<Reply>, Failure> {
    if let Some(peer) = container.peer(slot) {
        peer.role = Role::Waiting;
    }
    Ok(None)
}

fn attach(container: &mut Container, slot: usize, streams: Streams) -> Result<Option<Reply>, Failure> {
    let reply = Reply::Attached { terminal: container.streams.is_terminal };
    container.reply(slot, &reply, &[]);
    if let Some(peer) = container.peer(slot) {
        peer.role = Role::Attached { streams, sent: false };
    }
    Ok(None)
}

fn set_frozen(container: &mut Container, frozen: bool) -> Result<Option<Reply>, Failure> {
    match (container.state.paused, frozen) {
        (true, true) => return Err(Failure::conflict(format!("container {} is already paused", container.id))),
        (false, false) => return Err(Failure::conflict(format!("container {} is not paused", container.id))),
        (true, false) => container.thaw()?,
        (false, true) => {
            let group = container.cell()?.group().ok_or_else(|| Failure::no_cgroup("pause"))?;
            group.freeze(true).map_err(|error| Failure::new(error.class, error.message))?;
            container.state.paused = true;
            container.save_state()?;
        }
    }
    Ok(Some(Reply::Done))
}

fn start_exec(container: &mut Container, slot: usize, exec: &Exec, fds: Vec<OwnedFd>) -> Result<(), Failure> {
    if container.state.paused {
        return Err(Failure::conflict(format!("container {} is paused, unpause it before exec", container.id)));
    }
    if container.execs.iter().flatten().count() >= MOST_EXECS {
        return Err(Failure::conflict(format!("{MOST_EXECS} processes by exec are running: end some first")));
    }
    let mut fds = fds.into_iter();
    let stdio = match exec.process.terminal {
        Some(_) => None,
        None => match (fds.next(), fds.next(), fds.next()) {
            (Some(input), Some(output), Some(error)) => Some([input, output, error]),
            _ => return Err(Failure::invalid("exec without a terminal needs three descriptors")),
        },
    };
    let program = if exec.own_program {
        Some(fds.next().ok_or_else(|| Failure::invalid("the own program's descriptor is missing"))?)
    } else {
        None
    };
    let tenant = container.cell()?.exec(exec, stdio, program)?;
    let pid = tenant.pid;
    let terminal = match &tenant.terminal {
        Some(terminal) => Some(
            rustix::io::fcntl_dupfd_cloexec(terminal, 0)
                .map_err(|errno| Failure::internal(format!("a descriptor cannot be copied: {errno}")))?,
        ),
        None => None,
    };
    let exec_id = if exec.own_program { None } else { Some(new_exec_id()?) };
    if let Some(exec_id) = &exec_id {
        let words = exec.process.args.join(" ");
        let more = [("execID", exec_id.as_str())];
        container.events.tell(&format!("exec_create: {words}"), &more);
        container.events.tell(&format!("exec_start: {words}"), &more);
    }
    let running = Running::new(tenant, slot, exec_id);
    let place = match container.execs.iter().position(Option::is_none) {
        Some(place) => {
            container.execs[place] = Some(running);
            place
        }
        None => {
            container.execs.push(Some(running));
            container.execs.len() - 1
        }
    };
    if let Some(peer) = container.peer(slot) {
        peer.role = Role::Exec(place);
    }
    let fds: Vec<_> = terminal.iter().map(|terminal| terminal.as_fd()).collect();
    container.reply(slot, &Reply::ExecStarted { pid }, &fds);
    Ok(())
}

fn new_exec_id() -> Result<String, Failure> {
    Ok(bulkhead_sys::random::bytes32()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Tells the end of an exec and forgets it.
pub(crate) fn collect_exec(container: &mut Container, place: usize) {
    let Some(status) = container.execs.get(place).and_then(Option::as_ref).and_then(Running::ended) else { return };
    let Some(running) = container.execs.get_mut(place).and_then(Option::take) else { return };
    while container.execs.last().is_some_and(Option::is_none) {
        container.execs.pop();
    }
    if let Some(exec_id) = &running.exec_id {
        let code = status.code().to_string();
        container.events.tell("exec_die", &[("execID", exec_id), ("exitCode", &code)]);
    }
    if let Some(slot) = running.peer {
        container.reply_and_leave(slot, &Reply::ExecExited { status });
    }
}

/// A signal or a size for an exec; the process may have ended meanwhile, and its end is on its way then.
fn exec_packet(container: &mut Container, place: usize, packet: &[u8]) {
    let Some(Some(running)) = container.execs.get(place) else { return };
    let done = match serde_json::from_slice(packet) {
        Ok(Request::Signal { signal }) => running.signal(signal),
        Ok(Request::Resize(size)) => running.resize(size),
        Ok(_) | Err(_) => Err(Failure::invalid("only signals and sizes can be sent to an exec")),
    };
    if let (Err(failure), Some(slot)) = (done, running.peer)
        && failure.class == ErrorClass::Invalid
    {
        container.reply(slot, &failure.into(), &[]);
    }
}

/// Input, sizes and signals of an attachment. What it may not send is ignored.
fn stream_packet(container: &mut Container, slot: usize, streams: Streams, packet: &[u8]) {
    let Some((&kind, payload)) = packet.split_first() else { return };
    match Packet::from_byte(kind) {
        Some(Packet::Stdin) if streams.stdin => {
            if let Some(Peer { role: Role::Attached { sent, .. }, .. }) = container.peer(slot) {
                *sent = true;
            }
            container.streams.feed(payload);
        }
        Some(Packet::StdinEnd) if streams.stdin && container.rules.stdin_once => container.streams.end_input(),
        Some(Packet::Resize) => {
            if let Ok(size) = serde_json::from_slice::<TerminalSize>(payload) {
                // Without a terminal there is nothing to size.
                tolerate(container.streams.resize(size));
            }
        }
        Some(Packet::Signal) => {
            if let Some(&signal) = payload.first() {
                container.stopping.for_good |= signal == 9 || i32::from(signal) == container.rules.stop_signal;
                // It may have ended this very moment: the exit packet follows.
                tolerate(container.signal(i32::from(signal)));
            }
        }
        _ => {}
    }
}

/// The attachment that came with the hand-over.
pub(crate) fn first_attachment(channel: Channel, streams: Streams) -> Result<Peer, Failure> {
    let mut peer = Peer::new(channel, Role::Attached { streams, sent: false })?;
    peer.first = true;
    Ok(peer)
}
