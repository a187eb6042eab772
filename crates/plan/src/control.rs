//! Anyone to a running monitor: `control.sock` in the container's run directory, SEQPACKET, one JSON [`Request`] a
//! connection, answered by one JSON [`Reply`] (several for [`Request::Wait`] and streams).
//!
//! After [`Request::Attach`] is answered with [`Reply::Attached`] the connection carries stream packets: the first byte
//! is the [`Packet`] kind, the rest its payload (at most 64 KiB).

use bulkhead_types::{ErrorClass, ExitStatus};
use serde::{Deserialize, Serialize};

use crate::capability::Capability;
use crate::model::{Limits, Process, TerminalSize};

/// Largest packet on the control socket, in bytes. A request that does not fit travels in a memfd: the packet is then
/// [`IN_MEMFD`] and the memfd its first descriptor, before those of the request itself.
pub const MAX_PACKET: usize = 65_536;

/// See [`MAX_PACKET`].
pub const IN_MEMFD: &[u8] = b"memfd";

/// What a client asks of a monitor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Streams of the first process; see the module's text.
    Attach(Streams),
    /// Run another process inside. Descriptors 0, 1 and 2 of the process come with the packet (`SCM_RIGHTS`, in that
    /// order) unless it has a terminal, whose controlling end comes back with [`Reply::ExecStarted`].
    /// [`Reply::ExecExited`] follows on the same connection; the client may send [`Request::Resize`] and
    /// [`Request::Signal`] on it until then. Closing the connection does not end the process.
    Exec(Box<Exec>),
    /// Send a signal to the first process (or, on an exec connection, to that one).
    Signal {
        /// Signal number.
        signal: i32,
    },
    /// `stop`: the stop signal, then after the time-out `SIGKILL`; no restart. Answered when the container is gone.
    Stop {
        /// Instead of the container's stop signal.
        signal: Option<i32>,
        /// Seconds instead of the container's; `None` its own, negative waits for ever.
        timeout: Option<i64>,
        /// Start again afterwards (`restart`): the container's record is then kept even with `--rm`.
        restart: bool,
    },
    /// Freeze all processes.
    Pause,
    /// Thaw them.
    Unpause,
    /// Change limits of the running container.
    Update {
        /// Only what is given changes.
        limits: Box<Limits>,
        /// New restart policy.
        restart: Option<RestartPolicy>,
    },
    /// Counters of the cgroup.
    Stats,
    /// Host pids of all processes.
    Processes,
    /// Terminal size.
    Resize(TerminalSize),
    /// Answered at the exit.
    Wait,
    /// State and health as of now.
    State,
    /// `O_PATH` descriptor of the container's root as the first process sees it.
    Root,
}

/// `--restart`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// After a failure, at most this many times (0: no bound).
    OnFailure {
        /// Upper bound.
        max: u32,
    },
    /// Always, also after the host was restarted.
    Always,
    /// Always unless a user stopped it.
    UnlessStopped,
}

/// Which streams an attachment wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Streams {
    /// Send input.
    pub stdin: bool,
    /// Receive output.
    pub stdout: bool,
    /// Receive errors.
    pub stderr: bool,
}

/// Another process inside a running container, in the same walls as the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// What to execute.
    pub process: Process,
    /// Instead of the container's capabilities (`--privileged` exec); a concession of its own.
    pub capabilities: Option<Vec<Capability>>,
    /// Instead of a program of the image: our own static executable, by the descriptor that follows the standard
    /// three (`execveat`). Used for copying in and out.
    pub own_program: bool,
}

/// The first byte of a stream packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Packet {
    /// Client to container.
    Stdin = 0,
    /// Container to client.
    Stdout = 1,
    /// Container to client.
    Stderr = 2,
    /// Client to container: no more input.
    StdinEnd = 3,
    /// Client to container: JSON of [`TerminalSize`].
    Resize = 4,
    /// Client to container: one byte, a signal for the first process.
    Signal = 5,
    /// Container to client: JSON of [`Exited`]; the last packet.
    Exited = 6,
}

impl Packet {
    /// From the first byte.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Stdin),
            1 => Some(Self::Stdout),
            2 => Some(Self::Stderr),
            3 => Some(Self::StdinEnd),
            4 => Some(Self::Resize),
            5 => Some(Self::Signal),
            6 => Some(Self::Exited),
            _ => None,
        }
    }
}

/// What a monitor answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Done.
    Done,
    /// Not done.
    Failed {
        /// Class.
        class: ErrorClass,
        /// What, why and the cure.
        message: String,
        /// Exit code for the door, where one is fixed (126, 127).
        exit_code: Option<u8>,
    },
    /// Streams follow.
    Attached {
        /// True if the streams are one terminal.
        terminal: bool,
    },
    /// The process runs; with a terminal its controlling end came along.
    ExecStarted {
        /// Host pid.
        pid: u32,
    },
    /// It ended.
    ExecExited {
        /// How.
        status: ExitStatus,
    },
    /// Answer to `Wait` and `Stop`.
    Exited(Exited),
    /// Answer to `Stats`.
    Stats(Box<Stats>),
    /// Answer to `Processes`.
    Processes {
        /// Host pids.
        pids: Vec<u32>,
    },
    /// Answer to `State`.
    State(RunState),
    /// Answer to `Root`: the descriptor came along.
    Root,
}

/// The end of a container, as `exit.json` in its data directory has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exited {
    /// How the first process ended.
    pub status: ExitStatus,
    /// True if the kernel killed something in it for lack of memory.
    pub oom_killed: bool,
    /// Which limit was hit, in words with the number and the option that raises it; empty if none.
    pub limit: String,
    /// RFC 3339 with nanoseconds, UTC.
    pub finished_at: String,
    /// Something went wrong outside the container.
    pub error: String,
}

/// `state.json` in the container's run directory: rewritten (rename) at each change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// Host pid of the first process.
    pub pid: u32,
    /// `starttime` of `/proc/PID/stat`, so that a reused pid is never mistaken for it.
    pub pid_start: u64,
    /// Host pid of the monitor.
    pub monitor_pid: u32,
    /// RFC 3339 with nanoseconds, UTC.
    pub started_at: String,
    /// Frozen.
    pub paused: bool,
    /// `starting`, `healthy`, `unhealthy`; `None` without a check.
    pub health: Option<String>,
    /// Failed checks in a row.
    pub failing_streak: u32,
    /// The last five checks.
    pub health_log: Vec<HealthResult>,
    /// Which protections are in force and how, for `inspect`.
    pub walls: Vec<Wall>,
}

/// One finished health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HealthResult {
    /// RFC 3339.
    pub start: String,
    /// RFC 3339.
    pub end: String,
    /// Exit code; -1 for a time-out.
    pub exit_code: i32,
    /// At most 4 KiB.
    pub output: String,
}

/// One protection as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wall {
    /// `seccomp`, `capabilities`, `user-namespace`, …
    pub name: String,
    /// `full`, or what is missing.
    pub state: String,
}

/// Counters, already independent of the cgroup version. Bytes, nanoseconds, counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Nanoseconds.
    pub cpu_total: u64,
    /// Nanoseconds.
    pub cpu_user: u64,
    /// Nanoseconds.
    pub cpu_system: u64,
    /// Periods throttled.
    pub cpu_throttled_periods: u64,
    /// Bytes, page cache that can be dropped excluded.
    pub memory_usage: u64,
    /// Bytes at most so far.
    pub memory_peak: u64,
    /// Bytes; `u64::MAX` without one.
    pub memory_limit: u64,
    /// Tasks.
    pub pids: u64,
    /// Tasks at most; `u64::MAX` without one.
    pub pids_limit: u64,
    /// Bytes.
    pub block_read: u64,
    /// Bytes.
    pub block_write: u64,
    /// Bytes, all interfaces but loopback.
    pub net_rx: u64,
    /// Bytes.
    pub net_tx: u64,
    /// Times the kernel killed for lack of memory.
    pub oom_kills: u64,
    /// Times a fork was refused by the pids limit.
    pub pids_refused: u64,
}
