//! The room's vocabulary.

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
