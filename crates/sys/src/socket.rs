//! SEQPACKET sockets that carry descriptors, and sockets below a directory descriptor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::Result;

/// A connected `AF_UNIX` `SOCK_SEQPACKET` socket. Packets keep their borders; descriptors travel with them.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Two connected ends, close-on-exec.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pair() -> Result<(Self, Self)> {
        todo!("monitor")
    }

    /// Takes over a descriptor.
    #[must_use]
    pub const fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Connects to the listening socket `name` in `dir` (through `/proc/self/fd`, so no path length limit applies).
    ///
    /// # Errors
    /// The kernel's; `ECONNREFUSED` and `ENOENT` mean that nobody listens.
    pub fn connect(dir: BorrowedFd<'_>, name: &str) -> Result<Self> {
        let _ = (dir, name);
        todo!("monitor")
    }

    /// Sends one packet with descriptors (at most 253).
    ///
    /// # Errors
    /// The kernel's.
    pub fn send(&self, packet: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
        let _ = (packet, fds);
        todo!("monitor")
    }

    /// Receives one packet (`None` at the end of the stream). Received descriptors are close-on-exec; a truncated
    /// packet or control message is an error, never silently shortened.
    ///
    /// # Errors
    /// The kernel's, or `EMSGSIZE`.
    pub fn receive(&self, limit: usize) -> Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let _ = limit;
        todo!("monitor")
    }

    /// User id, group id and pid of the other end (`SO_PEERCRED`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn peer(&self) -> Result<(u32, u32, u32)> {
        todo!("monitor")
    }

    /// Makes all operations non-blocking (`EAGAIN`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_nonblocking(&self, on: bool) -> Result<()> {
        let _ = on;
        todo!("monitor")
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

/// A listening SEQPACKET socket `name` in `dir`, mode 0600; an old file of that name is replaced.
///
/// # Errors
/// The kernel's.
pub fn listen(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let _ = (dir, name);
    todo!("monitor")
}

/// Accepts one connection, close-on-exec and non-blocking.
///
/// # Errors
/// The kernel's.
pub fn accept(listener: BorrowedFd<'_>) -> Result<Channel> {
    let _ = listener;
    todo!("monitor")
}
