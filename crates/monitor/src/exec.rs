//! Other processes inside: those that clients ask for, and health checks.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use bulkhead_cell::Tenant;
use bulkhead_plan::TerminalSize;
use bulkhead_sys::event::{Interest, Poller};
use bulkhead_sys::process::Ended;
use bulkhead_types::ExitStatus;

use crate::failure::{Failure, tolerate};
use crate::health::KEPT_OUTPUT;
use crate::peer::Watched;
use crate::token::Source;

/// A process that a client asked for.
#[derive(Debug)]
pub(crate) struct Running {
    tenant: Tenant,
    end_watched: Watched,
    terminal_watched: Watched,
    /// Who is told of its end.
    pub(crate) peer: Option<usize>,
    /// For events; `None` for our own programs, which are nobody's business.
    pub(crate) exec_id: Option<String>,
}

impl Running {
    pub(crate) fn new(tenant: Tenant, peer: usize, exec_id: Option<String>) -> Self {
        Self {
            tenant,
            end_watched: Watched::default(),
            terminal_watched: Watched::default(),
            peer: Some(peer),
            exec_id,
        }
    }

    pub(crate) fn signal(&self, signal: i32) -> Result<(), Failure> {
        Ok(bulkhead_sys::process::signal(self.tenant.pidfd.as_fd(), signal)?)
    }

    pub(crate) fn resize(&self, size: TerminalSize) -> Result<(), Failure> {
        match &self.tenant.terminal {
            Some(terminal) => Ok(bulkhead_sys::terminal::set_size(terminal.as_fd(), size.rows, size.columns)?),
            None => Err(Failure::conflict("this process has no terminal")),
        }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        ended(&self.tenant)
    }

    /// A terminal whose reader left is read to nowhere, so that the process does not stand still.
    pub(crate) fn drain(&mut self) {
        let Some(terminal) = &self.tenant.terminal else { return };
        let mut buffer = [0u8; 4096];
        if !matches!(rustix::io::read(terminal, &mut buffer), Ok(count) if count > 0) {
            self.tenant.terminal = None;
            self.terminal_watched = Watched::default();
        }
    }

    pub(crate) fn watch(&mut self, poller: &Poller, slot: usize) {
        let end = Source::Exec(slot).token();
        self.end_watched.set(poller, self.tenant.pidfd.as_fd(), end, Some(Interest::READ));
        if let (Some(terminal), None) = (&self.tenant.terminal, self.peer) {
            let token = Source::ExecTerminal(slot).token();
            self.terminal_watched.set(poller, terminal.as_fd(), token, Some(Interest::READ));
        }
    }
}

/// Reads of a check's output at a time.
const MOST_READS: usize = 16;

/// A running health check.
#[derive(Debug)]
pub(crate) struct Probe {
    tenant: Tenant,
    pipe: Option<OwnedFd>,
    pub(crate) output: Vec<u8>,
    pub(crate) start: String,
    /// When it counts as failed; `None` once it was killed for that.
    pub(crate) deadline: Option<Instant>,
    watched: [Watched; 2],
}

impl Probe {
    pub(crate) fn new(tenant: Tenant, pipe: OwnedFd, start: String, deadline: Instant) -> Self {
        Self {
            tenant,
            pipe: Some(pipe),
            output: Vec::new(),
            start,
            deadline: Some(deadline),
            watched: Default::default(),
        }
    }

    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        ended(&self.tenant)
    }

    pub(crate) fn kill(&mut self) {
        self.deadline = None;
        // It may have ended this very moment, which is as good.
        tolerate(bulkhead_sys::process::signal(self.tenant.pidfd.as_fd(), 9));
    }

    /// Takes what there is of the output; only the beginning is kept.
    pub(crate) fn read(&mut self) {
        let mut buffer = [0u8; 4096];
        // A check that never stops talking must not keep the monitor from everything else.
        for _ in 0..MOST_READS {
            let Some(pipe) = &self.pipe else { return };
            match rustix::io::read(pipe, &mut buffer) {
                Ok(count) if count > 0 => {
                    let room = KEPT_OUTPUT.saturating_sub(self.output.len());
                    self.output.extend_from_slice(buffer.get(..count.min(room)).unwrap_or_default());
                }
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return,
                Ok(_) | Err(_) => {
                    self.pipe = None;
                    self.watched[1] = Watched::default();
                }
            }
        }
    }

    pub(crate) fn watch(&mut self, poller: &Poller) {
        let [end, output] = &mut self.watched;
        end.set(poller, self.tenant.pidfd.as_fd(), Source::Probe.token(), Some(Interest::READ));
        if let Some(pipe) = &self.pipe {
            output.set(poller, pipe.as_fd(), Source::ProbeOutput.token(), Some(Interest::READ));
        }
    }
}

/// Reaps it if it has ended.
pub(crate) fn ended(tenant: &Tenant) -> Option<ExitStatus> {
    match bulkhead_sys::process::try_wait(tenant.pidfd.as_fd()) {
        Ok(None) => None,
        Ok(Some(Ended::Code(code))) => Some(ExitStatus::Code(code)),
        Ok(Some(Ended::Signal(signal))) => Some(ExitStatus::Signal(signal)),
        // Reaped by nobody we know: the end is certain, the reason is not.
        Err(_) => Some(ExitStatus::Signal(9)),
    }
}
