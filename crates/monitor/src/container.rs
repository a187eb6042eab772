//! Everything that a monitor knows about its container, and what is told of it to others.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use bulkhead_cell::{Cell, Tenant};
use bulkhead_plan::control::{Exited, Packet, Reply, RestartPolicy, RunState};
use bulkhead_sys::event::{Poller, Signals};
use bulkhead_sys::lock::Lock;
use bulkhead_sys::root::{Durability, Root};
use bulkhead_types::ContainerId;

use crate::events::Events;
use crate::exec::{Probe, Running};
use crate::failure::Failure;
use crate::health::Checks;
use crate::logs::Log;
use crate::peer::{Gone, Peer, Role, Watched};
use crate::streams::Streams;
use crate::token::Source;

/// What the hand-over says about the container's life.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) restart: RestartPolicy,
    pub(crate) restarts: u32,
    pub(crate) remove: bool,
    pub(crate) stdin_once: bool,
    pub(crate) stop_signal: i32,
    pub(crate) stop_timeout: u32,
    pub(crate) engine_args: Vec<String>,
    /// A kill for lack of memory ends all of it.
    pub(crate) oom_group: bool,
}

/// Where the container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// It ended and will be started again then.
    Resting(Instant),
    /// It ended; only what is queued is still to be sent.
    Over,
}

/// What a stop has come to.
#[derive(Debug, Default)]
pub(crate) struct Stopping {
    /// When patience ends.
    pub(crate) deadline: Option<Instant>,
    /// A user, or the host that goes down, wants it to end: the policy does not start it again.
    pub(crate) for_good: bool,
    /// The engine goes on with the container: nobody else removes or starts it.
    pub(crate) engine_goes_on: bool,
}

/// The notice of kills for lack of memory.
#[derive(Debug)]
pub(crate) struct Oom {
    pub(crate) fd: OwnedFd,
    pub(crate) v2: bool,
    /// Kills that were told already.
    pub(crate) told: u64,
    /// When to look at the counter: the notice comes a moment before the kill.
    pub(crate) look: Option<Instant>,
}

/// A running container and the world around it.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) id: ContainerId,
    pub(crate) rules: Rules,
    pub(crate) poller: Poller,
    pub(crate) listener: Option<OwnedFd>,
    pub(crate) signals: Signals,
    /// Held as long as the container counts as running.
    pub(crate) lock: Option<Lock>,
    pub(crate) run_dir: Root,
    pub(crate) data_dir: Root,
    pub(crate) engine: OwnedFd,
    pub(crate) events: Events,
    pub(crate) log: Log,
    pub(crate) streams: Streams,
    pub(crate) cell: Option<Cell>,
    pub(crate) tenant: Tenant,
    pub(crate) end_watched: Watched,
    pub(crate) state: RunState,
    pub(crate) since: Instant,
    pub(crate) stopping: Stopping,
    pub(crate) oom: Option<Oom>,
    pub(crate) checks: Option<Checks>,
    pub(crate) probe: Option<Probe>,
    pub(crate) peers: Vec<Option<Peer>>,
    pub(crate) execs: Vec<Option<Running>>,
    pub(crate) exited: Option<Exited>,
    pub(crate) phase: Phase,
    /// The attachment of the hand-over has the exit packet: its client removes the container.
    pub(crate) delivered: bool,
}

impl Container {
    /// The cell, which exists until the end.
    pub(crate) fn cell(&self) -> Result<&Cell, Failure> {
        self.cell.as_ref().ok_or_else(|| Failure::conflict(format!("container {} is not running", self.id)))
    }

    /// Writes `state.json`.
    pub(crate) fn save_state(&mut self) -> Result<(), Failure> {
        if let Some(checks) = &self.checks {
            let (state, failures, log) = checks.report();
            self.state.health = Some(state.to_owned());
            self.state.failing_streak = failures;
            self.state.health_log = log.to_vec();
        }
        let json = serde_json::to_vec(&self.state).map_err(|error| Failure::internal(error.to_string()))?;
        Ok(self.run_dir.replace("state.json", &json, Durability::Process)?)
    }

    /// A signal for the first process.
    pub(crate) fn signal(&mut self, signal: i32) -> Result<(), Failure> {
        use std::os::fd::AsFd as _;
        if !(1..=64).contains(&signal) {
            return Err(Failure::invalid(format!("{signal} is no signal: give 1 to 64")));
        }
        self.cell()?;
        match bulkhead_sys::process::signal(self.tenant.pidfd.as_fd(), signal) {
            Ok(()) => Ok(()),
            Err(error) => Err(Failure::conflict(format!("container {} has just ended ({error})", self.id))),
        }
    }

    /// Lets a frozen container run again.
    pub(crate) fn thaw(&mut self) -> Result<(), Failure> {
        if !self.state.paused {
            return Ok(());
        }
        let group = self.cell()?.group().ok_or_else(|| Failure::no_cgroup("unpause"))?;
        group.freeze(false).map_err(|error| Failure::new(error.class, error.message))?;
        self.state.paused = false;
        self.save_state()
    }

    /// Begins a stop: the signal now, `SIGKILL` after the patience (`None`: never).
    pub(crate) fn begin_stop(&mut self, signal: i32, patience: Option<Duration>) -> Result<(), Failure> {
        self.signal(signal)?;
        self.thaw()?;
        self.stopping.deadline = patience.map(|patience| Instant::now() + patience);
        Ok(())
    }

    /// Puts a connection into a free slot.
    pub(crate) fn admit(&mut self, peer: Peer) -> usize {
        match self.peers.iter().position(Option::is_none) {
            Some(slot) => {
                self.peers[slot] = Some(peer);
                slot
            }
            None => {
                self.peers.push(Some(peer));
                self.peers.len() - 1
            }
        }
    }

    pub(crate) fn peer(&mut self, slot: usize) -> Option<&mut Peer> {
        self.peers.get_mut(slot)?.as_mut()
    }

    /// Answers a connection; one that is gone is let go.
    pub(crate) fn reply(&mut self, slot: usize, reply: &Reply, fds: &[std::os::fd::BorrowedFd<'_>]) {
        if self.peer(slot).is_some_and(|peer| peer.reply(reply, fds) == Err(Gone)) {
            self.dismiss(slot);
        }
    }

    /// Answers for the last time: the connection closes when the answer is out.
    pub(crate) fn reply_and_leave(&mut self, slot: usize, reply: &Reply) {
        self.reply(slot, reply, &[]);
        if let Some(peer) = self.peer(slot) {
            peer.role = Role::Leaving;
        }
        self.let_leave(slot);
    }

    /// Closes a connection that has nothing more to get.
    pub(crate) fn let_leave(&mut self, slot: usize) {
        if self.peer(slot).is_some_and(|peer| peer.role == Role::Leaving && !peer.is_behind()) {
            let first = self.peer(slot).is_some_and(|peer| peer.first);
            self.delivered |= first && self.exited.is_some();
            self.remove_peer(slot);
        }
    }

    /// Lets a connection go whose other end is gone.
    pub(crate) fn dismiss(&mut self, slot: usize) {
        let Some(role) = self.peer(slot).map(|peer| peer.role) else { return };
        self.remove_peer(slot);
        match role {
            Role::Attached { sent: true, .. } if self.rules.stdin_once => self.streams.end_input(),
            Role::Exec(exec) => {
                if let Some(Some(running)) = self.execs.get_mut(exec) {
                    running.peer = None;
                }
            }
            _ => {}
        }
    }

    fn remove_peer(&mut self, slot: usize) {
        if let Some(peer) = self.peers.get_mut(slot).and_then(Option::take) {
            peer.finish(&self.poller);
        }
        while self.peers.last().is_some_and(Option::is_none) {
            self.peers.pop();
        }
    }

    /// True while an attachment has not taken what it was sent: the process's output waits.
    pub(crate) fn is_held_up(&self) -> bool {
        let attached = |peer: &&Peer| matches!(peer.role, Role::Attached { .. });
        self.peers.iter().flatten().filter(attached).any(Peer::is_behind)
    }

    /// Sends a stream packet to everyone who wants it.
    pub(crate) fn broadcast(&mut self, kind: Packet, payload: &[u8]) {
        for slot in 0..self.peers.len() {
            let wants = |peer: &Peer| match (peer.role, kind) {
                (Role::Attached { streams, .. }, Packet::Stdout) => streams.stdout,
                (Role::Attached { streams, .. }, Packet::Stderr) => streams.stderr,
                (Role::Attached { .. }, Packet::Exited) => true,
                _ => false,
            };
            let Some(peer) = self.peer(slot) else { continue };
            if wants(peer) && peer.stream(kind, payload) == Err(Gone) {
                self.dismiss(slot);
            }
        }
    }

    /// Watches what should be watched now, and nothing else.
    pub(crate) fn watch_all(&mut self) {
        use std::os::fd::AsFd as _;
        let held_up = self.is_held_up();
        let stuffed = self.streams.is_stuffed();
        let tokens = [
            Source::Output(crate::logs::Stream::Stdout).token(),
            Source::Output(crate::logs::Stream::Stderr).token(),
            Source::Input.token(),
        ];
        self.streams.watch(&self.poller, tokens, !held_up);
        let end = (self.phase == Phase::Running).then_some(bulkhead_sys::event::Interest::READ);
        self.end_watched.set(&self.poller, self.tenant.pidfd.as_fd(), Source::End.token(), end);
        for (slot, peer) in self.peers.iter_mut().enumerate() {
            if let Some(peer) = peer {
                let sends_input = matches!(peer.role, Role::Attached { .. });
                peer.watch(&self.poller, Source::Peer(slot).token(), !(stuffed && sends_input));
            }
        }
        for (slot, running) in self.execs.iter_mut().enumerate() {
            if let Some(running) = running {
                running.watch(&self.poller, slot);
            }
        }
        if let Some(probe) = &mut self.probe {
            probe.watch(&self.poller);
        }
    }

    /// The earliest moment at which something is to be done unasked.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let resting = match self.phase {
            Phase::Resting(until) => Some(until),
            _ => None,
        };
        let check = self.checks.as_ref().and_then(|checks| checks.due);
        let probe = self.probe.as_ref().and_then(|probe| probe.deadline);
        let oom = self.oom.as_ref().and_then(|oom| oom.look);
        [self.stopping.deadline, resting, check, probe, oom].into_iter().flatten().min()
    }
}
