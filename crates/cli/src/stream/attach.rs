//! The streams of a container's first process.

use bulkhead_engine::{Attachment, Exited, Output};
use rustix::event::PollFlags;

use super::detach::DetachKeys;
use super::feed::{Input, Outgoing, poll, readable, writable};
use super::signals::{Signal, Signals};
use super::terminal;
use crate::console;
use crate::failure::{Failure, Result};

/// How an attachment is served.
#[derive(Debug)]
pub struct Wanted {
    /// Pass standard input on.
    pub stdin: bool,
    /// Keys that leave; only looked for on a terminal.
    pub keys: DetachKeys,
    /// Pass signals on to the process.
    pub proxy: bool,
}

/// How an attachment ended.
#[derive(Debug)]
pub enum Ended {
    /// The container did.
    Exited(Exited),
    /// The user left.
    Detached,
    /// A signal for us.
    Interrupted(i32),
}

/// Serves an attachment until it ends.
pub fn serve(attachment: &Attachment, wanted: Wanted, signals: &Signals) -> Result<Ended> {
    let on_terminal = attachment.terminal && wanted.stdin && terminal::stdin_is_terminal();
    let raw = if on_terminal { terminal::RawMode::enter() } else { None };
    if attachment.terminal {
        resize(attachment);
    }
    let keys = (attachment.terminal && wanted.stdin).then_some(wanted.keys);
    let mut pump = Pump {
        attachment,
        signals,
        input: Input::new(wanted.stdin, keys),
        outgoing: Outgoing::default(),
        proxy: wanted.proxy,
    };
    let ended = pump.run();
    drop(raw);
    ended
}

fn resize(attachment: &Attachment) {
    // A process that just ended has no terminal left to resize; its exit follows.
    if let Some(size) = terminal::size() {
        drop(attachment.resize(size));
    }
}

struct Pump<'a> {
    attachment: &'a Attachment,
    signals: &'a Signals,
    input: Input,
    outgoing: Outgoing,
    proxy: bool,
}

impl Pump<'_> {
    fn run(&mut self) -> Result<Ended> {
        loop {
            if let Some(ended) = self.turn()? {
                return Ok(ended);
            }
        }
    }

    /// One round of the loop.
    fn turn(&mut self) -> Result<Option<Ended>> {
        let mut channel = PollFlags::empty();
        channel.set(PollFlags::IN, self.outgoing.is_empty());
        channel.set(PollFlags::OUT, self.input.wants_write());
        let stdin = self.input.wants_read().then(|| (rustix::stdio::stdin(), PollFlags::IN));
        let out = (!self.outgoing.is_empty()).then(|| (self.outgoing.target(), PollFlags::OUT));
        let signal = Some((self.signals.fd(), PollFlags::IN));
        let ready = poll(&[Some((self.attachment.fd(), channel)), stdin, out, signal])?;
        let [channel, stdin, out, signal] = ready.as_slice() else { return Ok(None) };
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
        if channel.contains(PollFlags::OUT) {
            self.send();
        }
        if self.input.leaving && !self.input.wants_write() {
            return Ok(Some(Ended::Detached));
        }
        if self.outgoing.is_empty() && readable(*channel) {
            return self.receive();
        }
        Ok(None)
    }

    fn send(&mut self) {
        let bytes = self.input.take();
        // The exit packet says why if the other end is gone; there is nothing to do with the input then.
        let sent = if bytes.is_empty() { Ok(()) } else { self.attachment.send(&bytes) };
        let ended = if self.input.take_end() { self.attachment.end_input() } else { Ok(()) };
        if sent.and(ended).is_err() {
            self.input.close();
        }
    }

    fn receive(&mut self) -> Result<Option<Ended>> {
        match self.attachment.receive()? {
            Output::Stdout(bytes) => self.outgoing.set(bytes, false),
            Output::Stderr(bytes) => self.outgoing.set(bytes, true),
            Output::Exited(exited) => return Ok(Some(Ended::Exited(exited))),
            Output::Closed => {
                return Err(Failure::new(
                    "the container's monitor went away and took the container with it: look at `bulkhead inspect` and start it again",
                ));
            }
        }
        // While input flows, output must not hold it up; otherwise one write does it.
        self.write(!self.input.is_open())?;
        Ok(None)
    }

    fn write(&mut self, patient: bool) -> Result<()> {
        self.outgoing.write(patient).map_err(|errno| console::output_failure(errno, "standard output"))
    }

    fn signal(&mut self) -> Result<Option<Ended>> {
        match self.signals.next()? {
            Some(Signal::Resized) if self.attachment.terminal => resize(self.attachment),
            None | Some(Signal::Resized) => {}
            Some(Signal::Other(number)) if self.proxy => drop(self.attachment.signal(number)),
            Some(Signal::Other(number)) => return Ok(Some(Ended::Interrupted(number))),
        }
        Ok(None)
    }
}
