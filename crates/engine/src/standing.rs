//! Where a container stands: its record, its monitor's lock, and what the monitor wrote.

use bulkhead_plan::control::{Exited, RunState};
use bulkhead_types::ExitStatus;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use crate::clock;
use crate::engine::Engine;
use crate::model::{Error, Result};
use crate::record::{Phase, Record};

/// Docker's states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
}

impl Status {
    /// Docker's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
        }
    }

    /// A monitor watches over it.
    pub const fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }
}

/// All that is known beside the record.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub status: Status,
    /// Of a running one.
    pub state: Option<RunState>,
    /// Of the last run that ended.
    pub exit: Option<Exited>,
}

impl Standing {
    /// The shell's number of the last end; 0 before the first.
    pub fn exit_code(&self, record: &Record) -> u8 {
        match (&self.exit, &record.start_error) {
            (_, Some((_, code))) if !self.status.is_alive() => *code,
            (Some(exit), _) if !self.status.is_alive() => exit.status.code(),
            _ => 0,
        }
    }
}

/// The end of the last run. Monitors take the record of the run before away, so none at all means that the monitor died.
fn own_end(record: &Record, exit: Option<Exited>) -> Exited {
    exit.unwrap_or_else(|| Exited {
        status: ExitStatus::Signal(9),
        oom_killed: false,
        limit: String::new(),
        finished_at: record.started_at.clone().unwrap_or_else(|| clock::NEVER.into()),
        error: "the container's monitor died, and the container with it".into(),
    })
}

impl Engine {
    /// True if a monitor holds the container's lock.
    ///
    /// # Errors
    /// If the lock's file cannot be opened.
    pub(crate) fn is_alive(&self, id: &str) -> Result<bool> {
        let path = self.layout.running(id).join("lock");
        let file = match rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(Error::at(&path)(errno.into())),
        };
        // Shared, so that two who ask do not take each other for the monitor.
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(Error::at(&path)(errno.into())),
        }
    }

    /// What the monitor wrote of a running container.
    pub(crate) fn run_state(&self, id: &str) -> Option<RunState> {
        let bytes = std::fs::read(self.layout.running(id).join("state.json")).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// The last end.
    pub(crate) fn last_exit(&self, id: &str) -> Option<Exited> {
        let bytes = std::fs::read(self.layout.container(id).join("exit.json")).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Where the container stands now.
    ///
    /// # Errors
    /// If its lock cannot be looked at.
    pub(crate) fn standing(&self, record: &Record) -> Result<Standing> {
        let id = record.id.as_str();
        let exit = self.last_exit(id);
        if !self.is_alive(id)? {
            let status = match record.phase {
                Phase::Removing => Status::Removing,
                Phase::Created => Status::Created,
                Phase::Started => Status::Exited,
            };
            // `--rm` containers are not written again at their start.
            let status = if status == Status::Created && exit.is_some() { Status::Exited } else { status };
            let exit = if status == Status::Exited { Some(own_end(record, exit)) } else { exit };
            return Ok(Standing { status, state: None, exit });
        }
        let state = self.run_state(id);
        let status = match &state {
            Some(state) if state.pid == 0 => Status::Restarting,
            Some(state) if state.paused => Status::Paused,
            _ => Status::Running,
        };
        Ok(Standing { status, state, exit })
    }
}
