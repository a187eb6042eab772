//! Talking to a running monitor over its `control.sock`.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use bulkhead_plan::control::{IN_MEMFD, MAX_PACKET, Reply, Request};
use bulkhead_sys::socket::Channel;

use crate::engine::Engine;
use crate::model::{Error, Result};
use crate::record::Record;

/// Largest reply: a packet and a margin for its frame.
const LARGEST: usize = MAX_PACKET + 4096;

/// Opens one of the engine's own directories as a handle.
///
/// # Errors
/// If it cannot be opened.
pub(crate) fn open_dir(path: &Path) -> Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::at(path)(errno.into()))
}

/// Sends a request.
///
/// # Errors
/// If the monitor went away.
pub(crate) fn send(channel: &Channel, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let packet = serde_json::to_vec(request).map_err(|error| Error::internal(error.to_string()))?;
    if packet.len() <= MAX_PACKET {
        return channel.send(&packet, fds).map_err(Error::from);
    }
    let memory = crate::memory::sealed("request", &packet)?;
    let fds: Vec<BorrowedFd<'_>> = std::iter::once(memory.as_fd()).chain(fds.iter().copied()).collect();
    channel.send(IN_MEMFD, &fds).map_err(Error::from)
}

/// Receives a reply with its descriptors; `None` if the monitor went away. A refusal becomes an error.
///
/// # Errors
/// The monitor's refusal, or a reply that cannot be read.
pub(crate) fn receive(channel: &Channel) -> Result<Option<(Reply, Vec<OwnedFd>)>> {
    let packet = match channel.receive(LARGEST) {
        Ok(packet) => packet,
        Err(error) if error.raw() == rustix::io::Errno::CONNRESET.raw_os_error() => None,
        Err(error) => return Err(error.into()),
    };
    let Some((bytes, fds)) = packet else { return Ok(None) };
    match serde_json::from_slice(&bytes) {
        Ok(Reply::Failed { class, message, exit_code }) => Err(Error { class, message, exit_code }),
        Ok(reply) => Ok(Some((reply, fds))),
        Err(error) => Err(Error::internal(format!("the monitor's reply cannot be read: {error}"))),
    }
}

impl Engine {
    /// A connection to the monitor of a container; `None` if it does not run.
    ///
    /// # Errors
    /// If the socket is there but cannot be used.
    pub(crate) fn connect(&self, id: &str) -> Result<Option<Channel>> {
        let path = self.layout.running(id);
        let dir = match rustix::fs::open(
            &path,
            rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        ) {
            Ok(dir) => dir,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(Error::at(&path)(errno.into())),
        };
        match Channel::connect(dir.as_fd(), "control.sock") {
            Ok(channel) => Ok(Some(channel)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// As [`Engine::connect`] for a container that must run.
    ///
    /// # Errors
    /// Conflict in Docker's words if it does not.
    pub(crate) fn connect_running(&self, record: &Record) -> Result<Channel> {
        self.connect(record.id.as_str())?
            .ok_or_else(|| Error::conflict(format!("container {} is not running", record.id)))
    }

    /// One question, one answer; `None` if the container does not run (any more).
    ///
    /// # Errors
    /// The monitor's refusal.
    pub(crate) fn ask(&self, id: &str, request: &Request) -> Result<Option<(Reply, Vec<OwnedFd>)>> {
        let Some(channel) = self.connect(id)? else { return Ok(None) };
        match send(&channel, request, &[]) {
            Ok(()) => receive(&channel),
            Err(error) if error.class == bulkhead_types::ErrorClass::Invalid => Err(error),
            // It ended between connecting and asking.
            Err(_) => Ok(None),
        }
    }

    /// As [`Engine::ask`] for a container that must run.
    ///
    /// # Errors
    /// Conflict if it does not; the monitor's refusal.
    pub(crate) fn ask_running(&self, record: &Record, request: &Request) -> Result<Reply> {
        let answer = self.ask(record.id.as_str(), request)?;
        answer.map(|(reply, _)| reply).ok_or_else(|| Error::conflict(format!("container {} is not running", record.id)))
    }
}

fn is_gone(error: &bulkhead_sys::SysError) -> bool {
    let errno = error.raw();
    [rustix::io::Errno::NOENT, rustix::io::Errno::CONNREFUSED].iter().any(|gone| gone.raw_os_error() == errno)
}

/// An answer that does not fit the question.
pub(crate) fn unexpected(reply: &Reply) -> Error {
    Error::internal(format!("the monitor gave an answer that does not fit: {reply:?}"))
}
