//! The process's own ends of its streams: three pipes, or one terminal that is input and output in one.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bulkhead_plan::TerminalSize;
use bulkhead_sys::event::{Interest, Poller};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::failure::Failure;
use crate::logs::Stream;
use crate::peer::Watched;

/// The ends that the process gets, in the order of descriptors.
pub(crate) type ProcessEnds = [OwnedFd; 3];

/// Our ends.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// Terminal, or standard output and standard error.
    outputs: [Option<OwnedFd>; 2],
    input: Option<OwnedFd>,
    /// The first output is a terminal and also the input.
    pub(crate) is_terminal: bool,
    pending: VecDeque<u8>,
    close_input: bool,
    watched: [Watched; 3],
}

impl Streams {
    /// Pipes; without `open_input` the process reads an empty file.
    pub(crate) fn pipes(open_input: bool) -> Result<(Self, ProcessEnds), Failure> {
        let (out_read, out_write) = pipe()?;
        let (error_read, error_write) = pipe()?;
        let (input, process_input) = if open_input {
            let (read, write) = pipe()?;
            nonblocking(&write)?;
            (Some(write), read)
        } else {
            (None, null(OFlags::RDONLY)?)
        };
        nonblocking(&out_read)?;
        nonblocking(&error_read)?;
        let streams = Self { outputs: [Some(out_read), Some(error_read)], input, ..Self::default() };
        Ok((streams, [process_input, out_write, error_write]))
    }

    /// The controlling end of a terminal.
    pub(crate) fn terminal(controller: OwnedFd) -> Result<Self, Failure> {
        nonblocking(&controller)?;
        Ok(Self { outputs: [Some(controller), None], is_terminal: true, ..Self::default() })
    }

    /// Sets the terminal's size.
    pub(crate) fn resize(&self, size: TerminalSize) -> Result<(), Failure> {
        match (&self.outputs[0], self.is_terminal) {
            (Some(terminal), true) => Ok(bulkhead_sys::terminal::set_size(terminal.as_fd(), size.rows, size.columns)?),
            _ => Err(Failure::conflict("this container has no terminal: start it with -t")),
        }
    }

    /// Reads output into `buffer`; `None` if there is nothing now or will be nothing more.
    pub(crate) fn read(&mut self, stream: Stream, buffer: &mut [u8]) -> Option<usize> {
        let index = stream.index();
        let output = self.outputs[index].as_ref()?;
        match rustix::io::retry_on_intr(|| rustix::io::read(output, &mut *buffer)) {
            Ok(count) if count > 0 => Some(count),
            Err(Errno::AGAIN) => None,
            // The end; a terminal whose other side is closed says EIO.
            Ok(_) | Err(_) => {
                self.outputs[index] = None;
                None
            }
        }
    }

    /// True while input that was taken has not been written yet.
    pub(crate) fn is_stuffed(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes input; what does not fit waits. Input for a process that reads none is thrown away.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        if self.close_input || self.input_end().is_none() {
            return;
        }
        self.pending.extend(bytes);
        self.flush_input();
    }

    /// No more input after what waits. A terminal has no end of input but the character for it.
    pub(crate) fn end_input(&mut self) {
        if !self.is_terminal {
            self.close_input = true;
            self.flush_input();
        }
    }

    /// Writes what waits, as far as there is room.
    pub(crate) fn flush_input(&mut self) {
        while !self.pending.is_empty() {
            let Some(end) = self.input_end() else { break };
            match rustix::io::retry_on_intr(|| rustix::io::write(end, self.pending.as_slices().0)) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::AGAIN) => return,
                // Nobody reads any more.
                Err(_) => {
                    self.pending.clear();
                    self.input = None;
                }
            }
        }
        self.pending = VecDeque::new();
        if self.close_input {
            self.input = None;
        }
    }

    fn input_end(&self) -> Option<BorrowedFd<'_>> {
        let end = if self.is_terminal { self.outputs[0].as_ref() } else { self.input.as_ref() };
        end.map(|end| end.as_fd())
    }

    /// Watches the ends; output only while it has somewhere to go.
    pub(crate) fn watch(&mut self, poller: &Poller, tokens: [u64; 3], may_read: bool) {
        let stuffed = self.is_stuffed();
        for (index, output) in self.outputs.iter().enumerate() {
            let writes = self.is_terminal && index == 0 && stuffed;
            let wanted = (may_read || writes).then_some(Interest { read: may_read, write: writes, urgent: false });
            match (output, self.watched.get_mut(index), tokens.get(index)) {
                (Some(output), Some(watched), Some(&token)) => watched.set(poller, output.as_fd(), token, wanted),
                // Closing took it out of the poller.
                (None, Some(watched), _) => *watched = Watched::default(),
                _ => {}
            }
        }
        let [.., watched] = &mut self.watched;
        match &self.input {
            Some(input) => watched.set(poller, input.as_fd(), tokens[2], stuffed.then_some(Interest::WRITE)),
            None => *watched = Watched::default(),
        }
    }

    /// Closes everything.
    pub(crate) fn close(&mut self) {
        *self = Self { is_terminal: self.is_terminal, ..Self::default() };
    }
}

/// `/dev/null`.
pub(crate) fn null(flags: OFlags) -> Result<OwnedFd, Failure> {
    rustix::fs::open("/dev/null", flags | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Failure::internal(format!("/dev/null cannot be opened: {errno}")))
}

/// A pipe.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Failure> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
        .map_err(|errno| Failure::internal(format!("a pipe cannot be made: {errno}")))
}

/// Makes an end of ours non-blocking.
pub(crate) fn nonblocking(fd: &OwnedFd) -> Result<(), Failure> {
    rustix::io::ioctl_fionbio(fd, true).map_err(|errno| Failure::internal(format!("FIONBIO: {errno}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_waits_for_room_and_ends_after_what_waits() {
        let (mut streams, ends) = Streams::pipes(true).unwrap();
        let big = vec![7u8; 200_000];
        streams.feed(&big);
        assert!(streams.is_stuffed());
        streams.end_input();
        streams.feed(b"too late");
        let mut got = 0;
        let mut buffer = [0u8; 65_536];
        loop {
            match rustix::io::read(&ends[0], &mut buffer).unwrap() {
                0 => break,
                count => got += count,
            }
            streams.flush_input();
        }
        assert_eq!(got, big.len());
        assert!(!streams.is_stuffed());
    }

    #[test]
    fn input_for_nobody_is_thrown_away() {
        let (mut streams, ends) = Streams::pipes(true).unwrap();
        drop(ends);
        streams.feed(b"x");
        assert!(!streams.is_stuffed());
        let (mut closed, _ends) = Streams::pipes(false).unwrap();
        closed.feed(b"x");
        assert!(!closed.is_stuffed());
    }

    #[test]
    fn output_is_read_until_its_end() {
        let (mut streams, ends) = Streams::pipes(false).unwrap();
        let mut buffer = [0u8; 16];
        assert_eq!(streams.read(Stream::Stdout, &mut buffer), None);
        rustix::io::write(&ends[1], b"out").unwrap();
        rustix::io::write(&ends[2], b"error").unwrap();
        drop(ends);
        assert_eq!(streams.read(Stream::Stdout, &mut buffer), Some(3));
        assert_eq!(streams.read(Stream::Stderr, &mut buffer), Some(5));
        assert_eq!(streams.read(Stream::Stdout, &mut buffer), None);
        assert!(streams.outputs[0].is_none() && streams.outputs[1].is_some());
        assert!(streams.resize(TerminalSize::default()).is_err());
    }
}
