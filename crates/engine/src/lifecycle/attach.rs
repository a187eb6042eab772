//! `attach`: stream packets between a door and the monitor.

use std::os::fd::{AsFd as _, BorrowedFd};

use bulkhead_plan::TerminalSize;
use bulkhead_plan::control::{MAX_PACKET, Packet, Reply, Request, Streams};

use crate::control::{receive, send, unexpected};
use crate::engine::Engine;
use crate::model::{Attachment, Error, Output, Result};
use crate::standing::Status;

/// Bytes of a stream packet's payload.
const PAYLOAD: usize = MAX_PACKET - 1;

impl Engine {
    /// Streams of a running container.
    ///
    /// # Errors
    /// Conflict in Docker's words if it does not run or is frozen.
    pub fn attach(&self, container: &str, streams: Streams) -> Result<Attachment> {
        let record = self.find(container)?;
        let stopped = || Error::conflict("You cannot attach to a stopped container, start it first");
        match self.standing(&record)?.status {
            Status::Paused => {
                return Err(Error::conflict("You cannot attach to a paused container, unpause it first"));
            }
            Status::Restarting => {
                return Err(Error::conflict("You cannot attach to a restarting container, wait until it is running"));
            }
            status if !status.is_alive() => return Err(stopped()),
            _ => {}
        }
        let channel = self.connect(record.id.as_str())?.ok_or_else(stopped)?;
        send(&channel, &Request::Attach(streams), &[])?;
        match receive(&channel)?.ok_or_else(stopped)? {
            (Reply::Attached { terminal }, _) => {
                self.tell(&record, "attach", &[]);
                Ok(Attachment { channel, terminal })
            }
            (other, _) => Err(unexpected(&other)),
        }
    }
}

impl Attachment {
    fn packet(&self, kind: Packet, payload: &[u8]) -> Result<()> {
        let mut packet = Vec::with_capacity(payload.len() + 1);
        packet.push(kind as u8);
        packet.extend_from_slice(payload);
        self.channel.send(&packet, &[]).map_err(Error::from)
    }

    /// Sends input; longer than a packet goes in several.
    ///
    /// # Errors
    /// If the container has ended.
    pub fn send(&self, input: &[u8]) -> Result<()> {
        input.chunks(PAYLOAD).try_for_each(|chunk| self.packet(Packet::Stdin, chunk))
    }

    /// No more input.
    ///
    /// # Errors
    /// If the container has ended.
    pub fn end_input(&self) -> Result<()> {
        self.packet(Packet::StdinEnd, &[])
    }

    /// Size of the terminal.
    ///
    /// # Errors
    /// If the container has ended.
    pub fn resize(&self, size: TerminalSize) -> Result<()> {
        let json = serde_json::to_vec(&size).map_err(|error| Error::internal(error.to_string()))?;
        self.packet(Packet::Resize, &json)
    }

    /// A signal for the first process.
    ///
    /// # Errors
    /// If the container has ended, or it is no signal.
    pub fn signal(&self, signal: i32) -> Result<()> {
        let number = u8::try_from(signal).map_err(|_| Error::invalid(format!("invalid signal: {signal}")))?;
        self.packet(Packet::Signal, &[number])
    }

    /// Blocks for the next output.
    ///
    /// # Errors
    /// If a packet cannot be read.
    pub fn receive(&self) -> Result<Output> {
        let packet = match self.channel.receive(MAX_PACKET + 1) {
            Err(error) if error.raw() == rustix::io::Errno::CONNRESET.raw_os_error() => None,
            other => other?,
        };
        let Some((mut bytes, _)) = packet else { return Ok(Output::Closed) };
        if bytes.is_empty() {
            return Ok(Output::Closed);
        }
        let kind = Packet::from_byte(bytes.remove(0));
        match kind {
            Some(Packet::Stdout) => Ok(Output::Stdout(bytes)),
            Some(Packet::Stderr) => Ok(Output::Stderr(bytes)),
            Some(Packet::Exited) => serde_json::from_slice(&bytes)
                .map(Output::Exited)
                .map_err(|error| Error::internal(format!("the exit packet cannot be read: {error}"))),
            _ => Err(Error::internal("the monitor sent a packet that only a client may send")),
        }
    }

    /// To poll for readability.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
