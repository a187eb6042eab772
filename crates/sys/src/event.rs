//! epoll and signalfd for a single-threaded loop. Time-outs are the deadline that [`Poller::wait`] takes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll;
use rustix::io::Errno;

use crate::{Result, SysError, raw};

/// What to be woken for, besides the end of the other side, which always wakes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// There is something to read.
    pub read: bool,
    /// There is room to write.
    pub write: bool,
    /// An exceptional condition (`EPOLLPRI`): how files of version 2 cgroups tell of a change. Reported as readable.
    pub urgent: bool,
}

impl Interest {
    /// Reading only.
    pub const READ: Self = Self { read: true, write: false, urgent: false };
    /// Writing only.
    pub const WRITE: Self = Self { read: false, write: true, urgent: false };
    /// Neither: only the end of the other side.
    pub const END: Self = Self { read: false, write: false, urgent: false };
    /// An exceptional condition.
    pub const URGENT: Self = Self { read: false, write: false, urgent: true };

    fn flags(self) -> epoll::EventFlags {
        let mut flags = epoll::EventFlags::empty();
        flags.set(epoll::EventFlags::IN, self.read);
        flags.set(epoll::EventFlags::OUT, self.write);
        flags.set(epoll::EventFlags::PRI, self.urgent);
        flags
    }
}

/// One descriptor that wants attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The number it was added under.
    pub token: u64,
    /// Something to read, or the end of it.
    pub readable: bool,
    /// Room to write.
    pub writable: bool,
    /// The other side is gone (`EPOLLHUP` or `EPOLLERR`); what it sent before may still be there to read.
    pub hung_up: bool,
}

/// An epoll instance, level-triggered.
#[derive(Debug)]
pub struct Poller(OwnedFd);

impl Poller {
    /// A new one, close-on-exec.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> Result<Self> {
        epoll::create(epoll::CreateFlags::CLOEXEC).map(Self).map_err(|errno| SysError::new("epoll_create1", "", errno))
    }

    /// Watches a descriptor. It must be [`Poller::remove`]d before a copy of it that lives elsewhere would keep it here.
    ///
    /// # Errors
    /// The kernel's; `EPERM` for a regular file, which is always ready.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> Result<()> {
        epoll::add(&self.0, fd, epoll::EventData::new_u64(token), interest.flags())
            .map_err(|errno| SysError::new("epoll_ctl", "add", errno))
    }

    /// Changes the interest.
    ///
    /// # Errors
    /// The kernel's.
    pub fn modify(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> Result<()> {
        epoll::modify(&self.0, fd, epoll::EventData::new_u64(token), interest.flags())
            .map_err(|errno| SysError::new("epoll_ctl", "modify", errno))
    }

    /// Watches it no longer.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> Result<()> {
        epoll::delete(&self.0, fd).map_err(|errno| SysError::new("epoll_ctl", "delete", errno))
    }

    /// Waits for at most `timeout` (`None`: for ever) and fills `ready` from the front; returns how many. A signal that
    /// interrupts is an empty result.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self, ready: &mut [Ready; 16], timeout: Option<Duration>) -> Result<usize> {
        // epoll_wait counts whole milliseconds: rounding up keeps a deadline from being polled for before it is due.
        let rounded = timeout.map(|time| time.saturating_add(Duration::from_nanos(999_999)));
        let spec = rounded.map(|time| rustix::time::Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX).min(2_000_000),
            tv_nsec: i64::from(time.subsec_millis()) * 1_000_000,
        });
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 16];
        let count = match epoll::wait(&self.0, &mut events, spec.as_ref()) {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(errno) => return Err(SysError::new("epoll_wait", "", errno)),
        };
        for (slot, event) in ready.iter_mut().zip(events.iter().take(count)) {
            let (flags, data) = (event.flags, event.data);
            *slot = Ready {
                token: data.u64(),
                readable: flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::PRI),
                writable: flags.contains(epoll::EventFlags::OUT),
                hung_up: flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR),
            };
        }
        Ok(count)
    }
}

/// Signals read from a descriptor instead of interrupting.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Blocks these signals for the calling thread and reads them from a descriptor. Children inherit the blocked mask:
    /// who makes them sets it back in them ([`crate::process::set_signal_mask`]).
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(signals: &[i32]) -> Result<Self> {
        raw::event::block(signals).map_err(|errno| SysError::new("sigprocmask", "block", errno))?;
        raw::event::signalfd(signals).map(Self).map_err(|errno| SysError::new("signalfd4", "", errno))
    }

    /// The next pending one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn take(&self) -> Result<Option<i32>> {
        // The first field of `struct signalfd_siginfo` (linux/signalfd.h, 128 bytes) is the number.
        let mut information = [0u8; 128];
        match rustix::io::read(&self.0, &mut information) {
            Ok(128) => {
                let [a, b, c, d, ..] = information;
                Ok(i32::try_from(u32::from_ne_bytes([a, b, c, d])).ok())
            }
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(errno) => Err(SysError::new("read", "signalfd", errno)),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_wakes_for_data_and_for_its_end() {
        let poller = Poller::new().unwrap();
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        poller.add(read.as_fd(), 42, Interest::READ).unwrap();
        let mut ready = [Ready::default(); 16];
        assert_eq!(poller.wait(&mut ready, Some(Duration::ZERO)).unwrap(), 0);
        rustix::io::write(&write, b"x").unwrap();
        assert_eq!(poller.wait(&mut ready, None).unwrap(), 1);
        assert_eq!(ready[0], Ready { token: 42, readable: true, writable: false, hung_up: false });
        poller.modify(read.as_fd(), 43, Interest::END).unwrap();
        assert_eq!(poller.wait(&mut ready, Some(Duration::ZERO)).unwrap(), 0, "not asked for");
        drop(write);
        assert_eq!(poller.wait(&mut ready, None).unwrap(), 1);
        assert!(ready[0].hung_up && ready[0].token == 43);
        poller.remove(read.as_fd()).unwrap();
        assert_eq!(poller.wait(&mut ready, Some(Duration::from_micros(1))).unwrap(), 0);
    }

    #[test]
    fn a_blocked_signal_arrives_by_descriptor() {
        // A thread of its own, so that the blocked mask stays the test's.
        std::thread::spawn(|| {
            let signals = Signals::new(&[23]).unwrap();
            assert_eq!(signals.take().unwrap(), None);
            // Sent to the process it may be delivered to another thread (which ignores SIGURG): to this one it is sure.
            raw::event::send_to_self(23).unwrap();
            assert_eq!(signals.take().unwrap(), Some(23));
            assert_eq!(signals.take().unwrap(), None);
        })
        .join()
        .unwrap();
    }
}
