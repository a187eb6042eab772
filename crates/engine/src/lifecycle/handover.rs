//! Starts a monitor and hands a container over to it.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use bulkhead_plan::handover::{Answer, HandOver, Started};
use bulkhead_sys::socket::Channel;
use rustix::fs::{Mode, OFlags};

use crate::model::{Error, Result};

/// The monitor refuses more.
const MOST: usize = 200;

/// Largest answer.
const LARGEST: usize = 1 << 20;

/// Environment that the engine needs when a monitor starts it again.
const KEPT: &[&str] = &["HOME", "PATH", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "USER"];

/// Descriptors in the order in which they are handed over.
#[derive(Debug, Default)]
pub(crate) struct Bag(Vec<OwnedFd>);

impl Bag {
    /// Puts one in; its index.
    pub fn add(&mut self, fd: OwnedFd) -> u32 {
        self.0.push(fd);
        self.count() - 1
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

/// Starts a monitor, hands over, and waits for its one answer.
///
/// # Errors
/// If the monitor cannot be started, or what it says hindered the start, with Docker's exit code.
pub(crate) fn hand_over(message: &HandOver, bag: Bag) -> Result<Started> {
    if bag.0.len() > MOST {
        return Err(Error::invalid(format!("{} mounts and handles: at most {MOST} are possible", bag.0.len())));
    }
    let json = serde_json::to_vec(message).map_err(|error| Error::internal(error.to_string()))?;
    let memory = crate::memory::sealed("handover", &json)?;
    let (ours, theirs) = Channel::pair()?;
    let monitor = open_monitor()?;
    let kept: Vec<String> =
        KEPT.iter().filter_map(|key| std::env::var(key).ok().map(|value| format!("{key}={value}"))).collect();
    let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
    bulkhead_sys::spawn::program(monitor.as_fd(), &["bulkhead-monitor"], &kept, &[(3, theirs.as_fd())])?;
    drop(theirs);
    let fds: Vec<BorrowedFd<'_>> = std::iter::once(memory.as_fd()).chain(bag.0.iter().map(|fd| fd.as_fd())).collect();
    ours.send(b"handover", &fds)?;
    drop(fds);
    // Our copies of the mounts must be closed before the container ends, so that nothing keeps them busy.
    drop(bag);
    let died = || Error::internal("the container's monitor died before it answered; see the kernel's log").exiting(125);
    let packet = ours.receive(LARGEST).map_err(|_| died())?;
    let (bytes, _) = packet.ok_or_else(died)?;
    match serde_json::from_slice(&bytes) {
        Ok(Answer::Started(started)) => Ok(started),
        Ok(Answer::NotStarted(failure)) => Err(Error::new(failure.class, failure.message).exiting(failure.exit_code)),
        Err(error) => Err(Error::internal(format!("the monitor's answer cannot be read: {error}")).exiting(125)),
    }
}

/// The monitor's program lies beside our own.
fn open_monitor() -> Result<OwnedFd> {
    let path = monitor_path()?;
    rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| {
        Error::internal(format!(
            "{}: {errno}: the monitor must lie beside bulkhead; build or install both (cargo build -p bulkhead-monitor)",
            path.display()
        ))
        .exiting(125)
    })
}

fn monitor_path() -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(|error| Error::internal(format!("/proc/self/exe: {error}")))?;
    Ok(own.with_file_name("bulkhead-monitor"))
}

/// Starts a monitor that only removes the cgroup that a dead one left behind, and waits for it.
///
/// # Errors
/// If it cannot be started.
pub(crate) fn repair_cgroup(path: &str) -> Result<()> {
    let status = std::process::Command::new(monitor_path()?)
        .args(["--repair", path])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::internal(format!("the cgroup {path} could not be removed: {status}"))),
        Err(error) => Err(Error::internal(format!("bulkhead-monitor --repair: {error}"))),
    }
}
