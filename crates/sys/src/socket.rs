//! SEQPACKET sockets that carry descriptors, and sockets below a directory descriptor.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use crate::{Result, SysError};

/// Most descriptors that the kernel passes with one packet (`SCM_MAX_FD` of `net/scm.h`).
pub const MAX_DESCRIPTORS: usize = 253;

const CONTROL_SPACE: usize = rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS));

/// A connected `AF_UNIX` `SOCK_SEQPACKET` socket. Packets keep their borders; descriptors travel with them.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Two connected ends, close-on-exec.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pair() -> Result<(Self, Self)> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|errno| SysError::new("socketpair", "seqpacket", errno))?;
        Ok((Self(one), Self(other)))
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
        let address = address_below(dir, name)?;
        let socket = unconnected(SocketFlags::CLOEXEC)?;
        rustix::net::connect(&socket, &address).map_err(|errno| SysError::new("connect", name, errno))?;
        Ok(Self(socket))
    }

    /// Sends one packet with descriptors (at most [`MAX_DESCRIPTORS`]). The packet must not be empty: the other end
    /// could not tell it from the end of the stream.
    ///
    /// # Errors
    /// The kernel's, or `EINVAL` for an empty packet or too many descriptors.
    pub fn send(&self, packet: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
        self.send_parts(&[packet], fds)
    }

    /// As [`Channel::send`], with the packet's contents in up to four parts: a kind byte in front of a payload needs no
    /// copy.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub fn send_parts(&self, parts: &[&[u8]], fds: &[BorrowedFd<'_>]) -> Result<()> {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let fail = |errno| SysError::new("sendmsg", format!("{total} bytes, {} descriptors", fds.len()), errno);
        if total == 0 || parts.len() > 4 || fds.len() > MAX_DESCRIPTORS {
            return Err(fail(Errno::INVAL));
        }
        let mut slices = [IoSlice::new(&[]); 4];
        for (slot, part) in slices.iter_mut().zip(parts) {
            *slot = IoSlice::new(part);
        }
        let mut space = [MaybeUninit::uninit(); CONTROL_SPACE];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(fail(Errno::INVAL));
        }
        let slices = slices.get(..parts.len()).unwrap_or_default();
        let sent = retry(|| rustix::net::sendmsg(&self.0, slices, &mut control, SendFlags::NOSIGNAL)).map_err(fail)?;
        if sent == total { Ok(()) } else { Err(fail(Errno::MSGSIZE)) }
    }

    /// Receives one packet (`None` at the end of the stream). Received descriptors are close-on-exec; a truncated
    /// packet or control message is an error, never silently shortened.
    ///
    /// # Errors
    /// The kernel's, or `EMSGSIZE`.
    pub fn receive(&self, limit: usize) -> Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let fail = |errno| SysError::new("recvmsg", format!("at most {limit} bytes"), errno);
        // Asking for the length first keeps the buffer as small as the packet: a monitor lives for weeks.
        let (_, length) =
            retry(|| rustix::net::recv(&self.0, &mut [0u8; 0], RecvFlags::PEEK | RecvFlags::TRUNC)).map_err(fail)?;
        let mut packet = vec![0u8; length.min(limit)];
        let mut space = [MaybeUninit::uninit(); CONTROL_SPACE];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message = retry(|| {
            let mut slices = [IoSliceMut::new(&mut packet)];
            rustix::net::recvmsg(&self.0, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)
        })
        .map_err(fail)?;
        let mut fds = Vec::new();
        for item in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = item {
                fds.extend(rights);
            }
        }
        if length > limit || message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(fail(Errno::MSGSIZE));
        }
        if message.bytes == 0 {
            return Ok(None);
        }
        packet.truncate(message.bytes);
        Ok(Some((packet, fds)))
    }

    /// Receiving waits at most so long (`EAGAIN` then); `None`: for ever.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_receive_timeout(&self, timeout: Option<std::time::Duration>) -> Result<()> {
        rustix::net::sockopt::set_socket_timeout(&self.0, rustix::net::sockopt::Timeout::Recv, timeout)
            .map_err(|errno| SysError::new("setsockopt", "SO_RCVTIMEO", errno))
    }

    /// Says good-bye: what the other end has sent and nobody will read is thrown away before the close. Otherwise the
    /// kernel would tell it `ECONNRESET` in front of the last packets that are on their way to it.
    pub fn finish(self) {
        // Nothing new can arrive after this; an error means that the other end is gone already.
        if rustix::net::shutdown(&self.0, rustix::net::Shutdown::Read).is_err() || self.set_nonblocking(true).is_err() {
            return;
        }
        while matches!(self.receive(usize::MAX), Ok(Some(_))) {}
    }

    /// User id, group id and pid of the other end (`SO_PEERCRED`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn peer(&self) -> Result<(u32, u32, u32)> {
        let peer = rustix::net::sockopt::socket_peercred(&self.0)
            .map_err(|errno| SysError::new("getsockopt", "SO_PEERCRED", errno))?;
        Ok((peer.uid.as_raw(), peer.gid.as_raw(), peer.pid.as_raw_nonzero().get().unsigned_abs()))
    }

    /// Makes all operations non-blocking (`EAGAIN`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_nonblocking(&self, on: bool) -> Result<()> {
        rustix::io::ioctl_fionbio(&self.0, on).map_err(|errno| SysError::new("ioctl", "FIONBIO", errno))
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

/// A listening SEQPACKET socket `name` in `dir`, mode 0600, non-blocking; an old file of that name is replaced.
///
/// # Errors
/// The kernel's.
pub fn listen(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let address = address_below(dir, name)?;
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(SysError::new("unlinkat", name, errno)),
    }
    let socket = unconnected(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    // The mode of the socket's own inode becomes that of the file: there is no moment at which it is wider.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(|errno| SysError::new("fchmod", name, errno))?;
    rustix::net::bind(&socket, &address).map_err(|errno| SysError::new("bind", name, errno))?;
    rustix::net::listen(&socket, 128).map_err(|errno| SysError::new("listen", name, errno))?;
    Ok(socket)
}

/// Accepts one connection, close-on-exec and non-blocking.
///
/// # Errors
/// The kernel's.
pub fn accept(listener: BorrowedFd<'_>) -> Result<Channel> {
    retry(|| rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK))
        .map(Channel)
        .map_err(|errno| SysError::new("accept4", "seqpacket", errno))
}

fn unconnected(flags: SocketFlags) -> Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(|errno| SysError::new("socket", "seqpacket", errno))
}

/// One component below an open directory, short enough for `sun_path` however deep the directory lies.
fn address_below(dir: BorrowedFd<'_>, name: &str) -> Result<SocketAddrUnix> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(SysError::new("bind", name, Errno::INVAL));
    }
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
        .map_err(|errno| SysError::new("sockaddr_un", name, errno))
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _, Write as _};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn packets_keep_their_borders_and_descriptors_arrive() {
        let (one, other) = Channel::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"inside").unwrap();
        one.send(b"first", &[file.as_fd(), file.as_fd()]).unwrap();
        one.send_parts(&[b"sec", b"ond"], &[]).unwrap();
        let (packet, fds) = other.receive(64).unwrap().unwrap();
        assert_eq!((packet.as_slice(), fds.len()), (b"first".as_slice(), 2));
        let flags = rustix::io::fcntl_getfd(&fds[0]).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        let mut received = std::fs::File::from(fds.into_iter().next().unwrap());
        received.rewind().unwrap();
        let mut text = String::new();
        received.read_to_string(&mut text).unwrap();
        assert_eq!(text, "inside");
        assert_eq!(other.receive(64).unwrap().unwrap().0, b"second");
        drop(one);
        assert!(other.receive(64).unwrap().is_none());
    }

    #[test]
    fn a_packet_over_the_limit_is_an_error_and_the_next_one_is_whole() {
        let (one, other) = Channel::pair().unwrap();
        one.send(&[7u8; 100], &[]).unwrap();
        one.send(b"next", &[]).unwrap();
        assert_eq!(other.receive(99).unwrap_err().raw(), Errno::MSGSIZE.raw_os_error());
        assert_eq!(other.receive(99).unwrap().unwrap().0, b"next");
    }

    #[test]
    fn the_largest_number_of_descriptors_passes_and_one_more_is_refused() {
        let (one, other) = Channel::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        let many = vec![file.as_fd(); MAX_DESCRIPTORS];
        one.send(b"x", &many).unwrap();
        assert_eq!(other.receive(8).unwrap().unwrap().1.len(), MAX_DESCRIPTORS);
        let too_many = vec![file.as_fd(); MAX_DESCRIPTORS + 1];
        assert!(one.send(b"x", &too_many).is_err());
        assert!(one.send(b"", &[]).is_err());
    }

    #[test]
    fn receiving_can_be_given_up() {
        let (one, _other) = Channel::pair().unwrap();
        one.set_receive_timeout(Some(std::time::Duration::from_millis(1))).unwrap();
        assert_eq!(one.receive(8).unwrap_err().raw(), Errno::AGAIN.raw_os_error());
    }

    #[test]
    fn last_packets_arrive_although_something_was_not_read() {
        let (one, other) = Channel::pair().unwrap();
        other.send(b"never read", &[]).unwrap();
        one.send(b"last", &[]).unwrap();
        one.finish();
        assert_eq!(other.receive(64).unwrap().unwrap().0, b"last");
        assert!(other.receive(64).unwrap().is_none());
        assert!(other.send(b"late", &[]).is_err());
    }

    #[test]
    fn a_listener_is_private_replaces_a_stale_file_and_knows_its_peer() {
        let dir = tempfile::tempdir().unwrap();
        let handle = std::fs::File::open(dir.path()).unwrap();
        assert_eq!(
            Channel::connect(handle.as_fd(), "s").unwrap_err().raw(),
            Errno::NOENT.raw_os_error(),
            "nobody there yet"
        );
        drop(listen(handle.as_fd(), "s").unwrap());
        assert_eq!(Channel::connect(handle.as_fd(), "s").unwrap_err().raw(), Errno::CONNREFUSED.raw_os_error());
        let listener = listen(handle.as_fd(), "s").unwrap();
        let mode = std::fs::metadata(dir.path().join("s")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let client = Channel::connect(handle.as_fd(), "s").unwrap();
        let server = accept(listener.as_fd()).unwrap();
        assert_eq!(server.peer().unwrap().0, rustix::process::geteuid().as_raw());
        assert_eq!(server.receive(8).unwrap_err().raw(), Errno::AGAIN.raw_os_error());
        client.send(b"hi", &[]).unwrap();
        assert_eq!(server.receive(8).unwrap().unwrap().0, b"hi");
        assert!(listen(handle.as_fd(), "../s").is_err());
    }
}
