//! The streams of a process started by `exec`.
//!
//! The caller's own descriptors never go inside: a process that is not trusted must not hold the caller's terminal
//! (TIOCSTI, CVE-2017-5226) or a file of the host. It gets pipes, or a terminal of the container.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bulkhead_engine::{ExecSession, ExecStdio};
use bulkhead_types::ExitStatus;
use rustix::event::PollFlags;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::detach::DetachKeys;
use super::feed::{Input, Outgoing, poll, readable, writable};
use super::signals::{Signal, Signals};
use super::terminal;
use crate::console;
use crate::failure::Result;

/// How an exec ended.
#[derive(Debug)]
pub enum Ended {
    /// The process did.
    Exited(ExitStatus),
    /// The user left.
    Detached,
    /// A second signal for us while the process ignored the first.
    Interrupted(i32),
}

/// Our ends of the process's streams.
#[derive(Debug, Default)]
pub struct Ends {
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    errors: Option<OwnedFd>,
}

/// Streams that lead nowhere.
pub fn nowhere() -> Result<ExecStdio> {
    let null = || rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    Ok([null()?, null()?, null()?])
}

/// Pipes for the process and our ends of them.
pub fn pipes(with_input: bool) -> Result<(ExecStdio, Ends)> {
    let (output, inside_output) = pipe_with(PipeFlags::CLOEXEC)?;
    let (errors, inside_errors) = pipe_with(PipeFlags::CLOEXEC)?;
    let (inside_input, input) = if with_input {
        let (inside, ours) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        (inside, Some(ours))
    } else {
        (rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?, None)
    };
    rustix::io::ioctl_fionbio(&output, true)?;
    rustix::io::ioctl_fionbio(&errors, true)?;
    Ok(([inside_input, inside_output, inside_errors], Ends { input, output: Some(output), errors: Some(errors) }))
}

/// Serves the streams until the process ends.
pub fn serve(
    mut session: ExecSession,
    ends: Ends,
    with_input: bool,
    keys: DetachKeys,
    signals: &Signals,
) -> Result<Ended> {
    let master = session.terminal.take();
    let on_terminal = master.is_some();
    let raw = if on_terminal && with_input { terminal::RawMode::enter() } else { None };
    if let Some(master) = &master {
        rustix::io::ioctl_fionbio(master, true)?;
    }
    let mut pump = Pump {
        session: &session,
        signals,
        input: Input::new(with_input, on_terminal.then_some(keys)),
        ends,
        master,
        outgoing: Outgoing::default(),
        interrupted: false,
    };
    let ended = loop {
        if let Some(ended) = pump.turn()? {
            break ended;
        }
    };
    drop(raw);
    Ok(ended)
}

struct Pump<'a> {
    session: &'a ExecSession,
    signals: &'a Signals,
    input: Input,
    ends: Ends,
    master: Option<OwnedFd>,
    outgoing: Outgoing,
    interrupted: bool,
}

impl Pump<'_> {
    fn turn(&mut self) -> Result<Option<Ended>> {
        let idle = self.outgoing.is_empty();
        let sink = self.ends.input.as_ref().or(self.master.as_ref());
        let wanted = [
            Some((self.session.fd(), PollFlags::IN)),
            self.input.wants_read().then(|| (rustix::stdio::stdin(), PollFlags::IN)),
            (!idle).then(|| (self.outgoing.target(), PollFlags::OUT)),
            Some((self.signals.fd(), PollFlags::IN)),
            sink.filter(|_| self.input.wants_write()).map(|fd| (fd.as_fd(), PollFlags::OUT)),
            self.source(false).filter(|_| idle).map(|fd| (fd, PollFlags::IN)),
            self.source(true).filter(|_| idle).map(|fd| (fd, PollFlags::IN)),
        ];
        let ready = poll(&wanted)?;
        let [ended, stdin, out, signal, sink, output, errors] = ready.as_slice() else { return Ok(None) };
        if readable(*signal)
            && let Some(ended) = self.signal()?
        {
            return Ok(Some(ended));
        }
        if writable(*out) && !self.outgoing.is_empty() {
            self.write(false)?;
        }
        if readable(*stdin) {
            self.input.read();
        }
        if writable(*sink) {
            self.send();
        }
        if self.input.leaving && !self.input.wants_write() {
            return Ok(Some(Ended::Detached));
        }
        for (flags, stderr) in [(*output, false), (*errors, true)] {
            if readable(flags) && self.outgoing.is_empty() {
                self.receive(stderr)?;
            }
        }
        if readable(*ended) {
            return self.finish().map(Some);
        }
        Ok(None)
    }

    fn source(&self, stderr: bool) -> Option<BorrowedFd<'_>> {
        let ends = if stderr { self.ends.errors.as_ref() } else { self.ends.output.as_ref().or(self.master.as_ref()) };
        ends.map(AsFd::as_fd)
    }

    fn send(&mut self) {
        let bytes = self.input.take();
        let sink = self.ends.input.as_ref().or(self.master.as_ref());
        let Some(sink) = sink else { return self.input.close() };
        match rustix::io::write(sink, &bytes) {
            Ok(count) => self.input.put_back(bytes.get(count..).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => self.input.put_back(&bytes),
            // The process reads no more.
            Err(_) => {
                self.input.close();
                self.ends.input = None;
            }
        }
        if self.input.take_end() {
            self.ends.input = None;
        }
    }

    /// Reads once; at the end of a stream its descriptor is dropped.
    fn receive(&mut self, stderr: bool) -> Result<bool> {
        let mut buffer = vec![0; 64 * 1024];
        let Some(source) = self.source(stderr) else { return Ok(false) };
        match rustix::io::read(source, &mut buffer) {
            Ok(count) if count > 0 => {
                buffer.truncate(count);
                self.outgoing.set(buffer, stderr);
                self.write(!self.input.is_open())?;
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            // EIO is how a terminal says that nobody has it open any more.
            Ok(_) | Err(_) => {
                match (stderr, self.ends.output.is_some()) {
                    (true, _) => self.ends.errors = None,
                    (false, true) => self.ends.output = None,
                    (false, false) => self.master = None,
                }
                Ok(false)
            }
        }
    }

    /// The process ended: what it wrote before is in the pipes; a child of it that goes on writing is not waited for.
    fn finish(&mut self) -> Result<Ended> {
        self.write(true)?;
        self.input.close();
        while self.receive(false)? {}
        while self.receive(true)? {}
        Ok(Ended::Exited(self.session.wait()?))
    }

    fn write(&mut self, patient: bool) -> Result<()> {
        self.outgoing.write(patient).map_err(|errno| console::output_failure(errno, "standard output"))
    }

    fn signal(&mut self) -> Result<Option<Ended>> {
        match self.signals.next()? {
            None => {}
            Some(Signal::Resized) => {
                if let (Some(_), Some(size)) = (&self.master, terminal::size()) {
                    drop(self.session.resize(size));
                }
            }
            Some(Signal::Other(number)) => {
                let passed = !self.interrupted && self.session.signal(number).is_ok();
                self.interrupted = true;
                if !passed {
                    return Ok(Some(Ended::Interrupted(number)));
                }
            }
        }
        Ok(None)
    }
}
