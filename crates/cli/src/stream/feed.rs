//! Bytes on their way: read from one descriptor, waiting to be taken by the other end.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::detach::{DetachKeys, Typed};

/// Bytes of one read.
const CHUNK: usize = 32 * 1024;
/// A pipe that polls writable takes this much without blocking.
const PIPE_ATOM: usize = 4096;

/// Input of the caller on its way inside.
#[derive(Debug)]
pub struct Input {
    waiting: Vec<u8>,
    open: bool,
    ended: bool,
    keys: Option<DetachKeys>,
    /// The detach keys were typed; what came before them still has to be sent.
    pub leaving: bool,
}

impl Input {
    /// `keys` only for a terminal.
    pub fn new(wanted: bool, keys: Option<DetachKeys>) -> Self {
        Self { waiting: Vec::new(), open: wanted, ended: !wanted, keys, leaving: false }
    }

    /// True while standard input may still bring something.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// True if the next read may happen: what was read before is sent.
    pub fn wants_read(&self) -> bool {
        self.open && self.waiting.is_empty()
    }

    /// True if something is to be sent, the end included.
    pub fn wants_write(&self) -> bool {
        !self.waiting.is_empty() || (!self.open && !self.ended)
    }

    /// Reads once from standard input, which polled readable.
    pub fn read(&mut self) {
        let mut buffer = vec![0; CHUNK];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(0) => self.open = false,
            Ok(count) => {
                buffer.truncate(count);
                match self.keys.as_mut().map(|keys| keys.filter(&buffer)) {
                    None => self.waiting = buffer,
                    Some(Typed::Pass(bytes)) => self.waiting = bytes,
                    Some(Typed::Leave(bytes)) => {
                        self.waiting = bytes;
                        self.leaving = true;
                        self.open = false;
                        self.ended = true;
                    }
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            // A terminal that was taken away, a background job: there is no input then.
            Err(_) => self.open = false,
        }
    }

    /// Takes what waits.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.waiting)
    }

    /// What could not be sent yet.
    pub fn put_back(&mut self, bytes: &[u8]) {
        self.waiting = bytes.to_vec();
    }

    /// True once: the end is to be passed on now.
    pub fn take_end(&mut self) -> bool {
        let now = !self.open && !self.ended && self.waiting.is_empty();
        self.ended |= now;
        now
    }

    /// The other end takes no more.
    pub fn close(&mut self) {
        *self = Self::new(false, None);
    }
}

/// Output on its way to standard output or error.
#[derive(Debug, Default)]
pub struct Outgoing {
    waiting: Vec<u8>,
    at: usize,
    stderr: bool,
}

impl Outgoing {
    /// True if there is nothing left to write.
    pub fn is_empty(&self) -> bool {
        self.at >= self.waiting.len()
    }

    /// The descriptor it goes to.
    pub fn target(&self) -> BorrowedFd<'static> {
        if self.stderr { rustix::stdio::stderr() } else { rustix::stdio::stdout() }
    }

    /// Takes on bytes; whatever waited before must be written.
    pub fn set(&mut self, bytes: Vec<u8>, stderr: bool) {
        *self = Self { waiting: bytes, at: 0, stderr };
    }

    /// Writes a part that cannot block (`patient` false), or everything.
    pub fn write(&mut self, patient: bool) -> std::result::Result<(), Errno> {
        let from = self.at;
        if patient {
            self.at = self.waiting.len();
            return crate::console::write_all(self.target(), self.waiting.get(from..).unwrap_or_default());
        }
        let until = self.waiting.len().min(from + PIPE_ATOM);
        match rustix::io::write(self.target(), self.waiting.get(from..until).unwrap_or_default()) {
            Ok(count) => self.at += count,
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }
}

/// What a set of descriptors is ready for. Hung-up and failed ones count as ready, so that a read meets the end.
pub fn poll(wanted: &[Option<(BorrowedFd<'_>, PollFlags)>]) -> std::result::Result<Vec<PollFlags>, Errno> {
    let mut fds: Vec<PollFd<'_>> =
        wanted.iter().flatten().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
    match rustix::event::poll(&mut fds, None) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(vec![PollFlags::empty(); wanted.len()]),
        Err(errno) => return Err(errno),
    }
    let mut results = fds.iter().map(PollFd::revents);
    Ok(wanted.iter().map(|slot| slot.and_then(|_| results.next()).unwrap_or(PollFlags::empty())).collect())
}

/// True if a read will not block.
pub fn readable(flags: PollFlags) -> bool {
    flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
}

/// True if a write will not block, or will fail at once.
pub fn writable(flags: PollFlags) -> bool {
    flags.intersects(PollFlags::OUT | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
}
