//! Control groups: create, limit, join, freeze, count, kill, remove; versions 1, 2 and hybrid behind one type.
//!
//! * **Is:** file writes below the mounted hierarchies, found once from `/proc/self/mountinfo` and `/proc/self/cgroup`.
//! * **Must never know:** why a limit is wanted.
//! * **Invariants:** a limit that was asked for and could not be set is an error, never a silent gap.
//! * **Tests:** `contract.rs`, run on each version that the machine has.

use std::os::fd::{BorrowedFd, OwnedFd};

use bulkhead_types::ErrorClass;

/// What went wrong with which file.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Class.
    pub class: ErrorClass,
    /// What, why, cure.
    pub message: String,
}

/// Limits in this room's own terms; see `plan::Limits` for units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Limits {
    pub memory: Option<u64>,
    pub swap: Option<u64>,
    pub memory_reservation: Option<u64>,
    pub pids: Option<u64>,
    pub cpu_quota: Option<u64>,
    pub cpu_period: Option<u64>,
    pub cpu_shares: Option<u64>,
    pub cpuset_cpus: Option<String>,
    pub cpuset_mems: Option<String>,
    pub blkio_weight: Option<u16>,
    /// Major, minor, kind, rate per second.
    pub throttle: Vec<(u32, u32, Throttle, u64)>,
    pub oom_group: bool,
}

/// What an io throttle counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Throttle {
    ReadBps,
    WriteBps,
    ReadIops,
    WriteIops,
}

/// A device that may be used: kind (`c`, `b`), numbers (`None`: any), access of `rwm`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DeviceRule {
    pub kind: char,
    pub major: Option<u32>,
    pub minor: Option<u32>,
    pub access: String,
}

/// Counters; see `plan::control::Stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Counters {
    pub cpu_total: u64,
    pub cpu_user: u64,
    pub cpu_system: u64,
    pub cpu_throttled_periods: u64,
    pub memory_usage: u64,
    pub memory_peak: u64,
    pub memory_limit: u64,
    pub pids: u64,
    pub pids_limit: u64,
    pub block_read: u64,
    pub block_write: u64,
    pub oom_kills: u64,
    pub pids_refused: u64,
}

/// One group in every hierarchy that matters.
#[derive(Debug)]
pub struct Cgroup {
    _private: (),
}

impl Cgroup {
    /// Creates the group `path` (for example `/bulkhead/ID`) and applies limits and the device allow-list (default
    /// deny). On failure nothing is left behind.
    ///
    /// # Errors
    /// With the cure, if a hierarchy or controller that a limit needs is missing or not writable.
    pub fn create(path: &str, limits: &Limits, devices: &[DeviceRule]) -> Result<Self, Error> {
        let _ = (path, limits, devices);
        todo!("cgroup")
    }

    /// Opens an existing group.
    ///
    /// # Errors
    /// If it does not exist.
    pub fn open(path: &str) -> Result<Self, Error> {
        let _ = path;
        todo!("cgroup")
    }

    /// Descriptors for a child to enter by itself: on v1 the `tasks` files, to each of which it writes `0` (a grace
    /// period cheaper than the parent's `cgroup.procs`); empty on pure v2.
    ///
    /// # Errors
    /// If a file cannot be opened.
    pub fn entry_files(&self) -> Result<Vec<OwnedFd>, Error> {
        todo!("cgroup")
    }

    /// Directory for `clone3(CLONE_INTO_CGROUP)`, where version 2 has the controllers.
    #[must_use]
    pub fn clone_into(&self) -> Option<BorrowedFd<'_>> {
        todo!("cgroup")
    }

    /// Changes what is `Some` in `limits`.
    ///
    /// # Errors
    /// If the kernel refuses a value.
    pub fn update(&self, limits: &Limits) -> Result<(), Error> {
        let _ = limits;
        todo!("cgroup")
    }

    /// Freezes or thaws and waits until it is so.
    ///
    /// # Errors
    /// If there is no freezer.
    pub fn freeze(&self, frozen: bool) -> Result<(), Error> {
        let _ = frozen;
        todo!("cgroup")
    }

    /// All process ids, child groups included.
    ///
    /// # Errors
    /// If the group is gone.
    pub fn processes(&self) -> Result<Vec<u32>, Error> {
        todo!("cgroup")
    }

    /// Counters as of now.
    ///
    /// # Errors
    /// If the group is gone.
    pub fn counters(&self) -> Result<Counters, Error> {
        todo!("cgroup")
    }

    /// Kills everything in it (`cgroup.kill`, or freeze, signal, thaw on v1) and waits for emptiness.
    ///
    /// # Errors
    /// If processes survive for longer than a second.
    pub fn kill(&self) -> Result<(), Error> {
        todo!("cgroup")
    }

    /// Removes the group and those below it in every hierarchy. A group that is gone already is no error.
    ///
    /// # Errors
    /// If it is still in use.
    pub fn remove(self) -> Result<(), Error> {
        todo!("cgroup")
    }
}
