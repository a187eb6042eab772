//! One connection: packets out, with a short queue behind the socket's own buffer, and what to wake up for.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bulkhead_plan::control::{Packet, Reply, Streams};
use bulkhead_sys::event::{Interest, Poller};
use bulkhead_sys::socket::Channel;
use rustix::io::Errno;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing was asked yet.
    Fresh,
    /// Streams of the first process. `sent` tells whether it has sent input.
    Attached { streams: Streams, sent: bool },
    /// To be told of the end.
    Waiting,
    /// The exec in this slot.
    Exec(usize),
    /// Everything was said; only what is queued is still to be sent.
    Leaving,
}

/// A packet with its descriptors.
pub(crate) type Received = (Vec<u8>, Vec<OwnedFd>);

/// The other end is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// A connection.
#[derive(Debug)]
pub(crate) struct Peer {
    channel: Channel,
    queue: VecDeque<Box<[u8]>>,
    pub(crate) role: Role,
    /// No more packets will be read: the other end has shut its sending side.
    pub(crate) deaf: bool,
    /// The other end is gone, but packets that it has sent wait until there is room for them.
    pub(crate) hung_up: bool,
    /// True for the attachment that came with the hand-over.
    pub(crate) first: bool,
    interest: Watched,
}

impl Peer {
    /// The channel becomes non-blocking.
    pub(crate) fn new(channel: Channel, role: Role) -> Result<Self, bulkhead_sys::SysError> {
        channel.set_nonblocking(true)?;
        let interest = Watched::default();
        Ok(Self { channel, queue: VecDeque::new(), role, deaf: false, hung_up: false, first: false, interest })
    }

    /// True while something waits for the other end to read.
    pub(crate) fn is_behind(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Sends a stream packet, now or when there is room.
    pub(crate) fn stream(&mut self, kind: Packet, payload: &[u8]) -> Result<(), Gone> {
        if self.queue.is_empty() {
            match self.channel.send_parts(&[&[kind as u8], payload], &[]) {
                Ok(()) => return Ok(()),
                Err(error) if is_full(&error) => {}
                Err(_) => return Err(Gone),
            }
        }
        let mut packet = Vec::with_capacity(payload.len() + 1);
        packet.push(kind as u8);
        packet.extend_from_slice(payload);
        self.queue.push_back(packet.into_boxed_slice());
        Ok(())
    }

    /// Sends a reply with descriptors, which must leave now, or without, which may wait.
    pub(crate) fn reply(&mut self, reply: &Reply, fds: &[BorrowedFd<'_>]) -> Result<(), Gone> {
        let packet = serde_json::to_vec(reply).map_err(|_| Gone)?;
        if self.queue.is_empty() {
            match self.channel.send(&packet, fds) {
                Ok(()) => return Ok(()),
                Err(error) if is_full(&error) && fds.is_empty() => {}
                Err(_) => return Err(Gone),
            }
        }
        self.queue.push_back(packet.into_boxed_slice());
        Ok(())
    }

    /// Sends what waits, as far as there is room.
    pub(crate) fn flush(&mut self) -> Result<(), Gone> {
        while let Some(packet) = self.queue.front() {
            match self.channel.send(packet, &[]) {
                Ok(()) => drop(self.queue.pop_front()),
                Err(error) if is_full(&error) => return Ok(()),
                Err(_) => return Err(Gone),
            }
        }
        self.queue = VecDeque::new();
        Ok(())
    }

    /// The next packet; `Ok(None)` if there is none yet.
    pub(crate) fn receive(&mut self, limit: usize) -> Result<Option<Received>, Gone> {
        match self.channel.receive(limit) {
            Ok(Some(packet)) => Ok(Some(packet)),
            Ok(None) => Err(Gone),
            Err(error) if error.raw() == Errno::AGAIN.raw_os_error() => Ok(None),
            Err(_) => Err(Gone),
        }
    }

    /// True if the other end is this user or root.
    pub(crate) fn is_trusted(&self) -> bool {
        let own = rustix::process::geteuid().as_raw();
        self.channel.peer().is_ok_and(|(uid, _, _)| uid == own || uid == 0)
    }

    /// Watches for what this connection wants; `may_read` is false while its input has nowhere to go.
    pub(crate) fn watch(&mut self, poller: &Poller, token: u64, may_read: bool) {
        let reads = may_read && !self.deaf && self.role != Role::Leaving;
        let asleep = self.hung_up && !reads;
        let wanted = (!asleep).then_some(Interest { read: reads, write: self.is_behind(), urgent: false });
        self.interest.set(poller, self.channel.as_fd(), token, wanted);
    }

    /// Closes it so that the last packets arrive.
    pub(crate) fn finish(mut self, poller: &Poller) {
        self.interest.set(poller, self.channel.as_fd(), 0, None);
        self.channel.finish();
    }
}

fn is_full(error: &bulkhead_sys::SysError) -> bool {
    [Errno::AGAIN, Errno::NOBUFS].iter().any(|errno| errno.raw_os_error() == error.raw())
}

/// A descriptor's place in the poller, changed only when something changes.
#[derive(Debug, Default)]
pub(crate) struct Watched(Option<Interest>);

impl Watched {
    /// `None` takes it out. A refusal (no memory) leaves the old state, and the next change tries again.
    pub(crate) fn set(&mut self, poller: &Poller, fd: BorrowedFd<'_>, token: u64, wanted: Option<Interest>) {
        if self.0 == wanted {
            return;
        }
        let done = match (self.0, wanted) {
            (None, Some(interest)) => poller.add(fd, token, interest),
            (Some(_), Some(interest)) => poller.modify(fd, token, interest),
            (Some(_), None) => poller.remove(fd),
            (None, None) => Ok(()),
        };
        if done.is_ok() {
            self.0 = wanted;
        }
    }
}
