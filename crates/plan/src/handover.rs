//! Engine to monitor: one message, once, over the socket that is the monitor's descriptor 3.
//!
//! | engine says | monitor does | monitor answers |
//! |---|---|---|
//! | [`HandOver`] with its descriptors | detaches, takes the lock, builds the cell, lets it go | [`Started`] or [`NotStarted`] |
//! | nothing more: closes the socket | keeps watch | – |
//!
//! The message is the JSON of [`HandOver`] in a sealed memfd; the descriptors travel with it by `SCM_RIGHTS` in the
//! order that [`Handles`] gives.

use bulkhead_types::{ContainerId, ErrorClass};
use serde::{Deserialize, Serialize};

use crate::control::Exec;
pub use crate::control::RestartPolicy;
use crate::model::IsolationPlan;

/// Everything a monitor needs for the whole life of its container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// Whose monitor this is.
    pub container: ContainerId,
    /// Name, for log lines only.
    pub name: String,
    /// What Docker's events of a container carry: `image`, `name` and its labels. The monitor writes what nobody asks
    /// for and what must not be out of order: `start`, `die`, `oom`, `health_status: …` and those of `exec`; the other
    /// events are the engine's.
    #[serde(default)]
    pub attributes: std::collections::BTreeMap<String, String>,
    /// What to build.
    pub plan: IsolationPlan,
    /// Which descriptor is what.
    pub handles: Handles,
    /// How the logs are kept.
    pub logs: LogPolicy,
    /// The health check, if there is one.
    pub health: Option<Health>,
    /// When to start again.
    pub restart: RestartPolicy,
    /// How many times it was started again by the policy already.
    pub restarts: u32,
    /// Keep the container's standard input open for attachments (`-i`).
    pub stdin_open: bool,
    /// Close standard input for good when the first attachment that sent some leaves.
    pub stdin_once: bool,
    /// Remove the container after its exit (`--rm`).
    pub remove: bool,
    /// Sent by `stop` (`SIGTERM` unless the image or `--stop-signal` says otherwise).
    pub stop_signal: i32,
    /// Seconds that `stop` and a restart wait before `SIGKILL`.
    pub stop_timeout: u32,
    /// Words to put behind the engine's executable to reach it again: global options such as `--root DIR`.
    /// The monitor appends `internal restart ID` or `internal reap ID`.
    pub engine_args: Vec<String>,
    /// cgroup path below each hierarchy's mount, for example `/bulkhead/ID`; `None` where none can be had (rootless
    /// without delegation), which is a printed warning of the engine.
    pub cgroup: Option<String>,
}

/// Indexes into the descriptors that came with the message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handles {
    /// The detached root mount.
    pub root: u32,
    /// Run-time directory of the container (tmpfs): `lock`, `control.sock`, `state.json`, `health.json`.
    pub run_dir: u32,
    /// Durable directory of the container: `exit.json`, `log/`.
    pub data_dir: u32,
    /// The engine's executable, `O_PATH`, for restart and removal.
    pub engine: u32,
    /// The event log, opened for appending.
    pub events: u32,
    /// A connected SEQPACKET socket on which an attachment is served as if `Attach` had been received on it, from
    /// before the start (no output is lost).
    pub attached: Option<AttachedHandle>,
    /// Total number of descriptors, mounts included.
    pub count: u32,
}

/// An attachment that exists before the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachedHandle {
    /// Index of the socket.
    pub socket: u32,
    /// What is attached.
    pub streams: crate::control::Streams,
}

/// Limits on what a container may log (S04).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPolicy {
    /// `none` keeps nothing; `json-file` writes Docker's JSON lines.
    pub driver: LogDriver,
    /// Bytes after which the file is rotated. 0 means never, by concession.
    pub max_size: u64,
    /// Files kept, the current one included; at least 1.
    pub max_files: u32,
}

/// Where output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// Nowhere.
    None,
    /// `log/json.log`, then `log/json.log.1`, …
    JsonFile,
}

/// `--health-*` and the image's `HEALTHCHECK`. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Run inside by the same rules as any exec.
    pub exec: Exec,
    /// Between checks.
    pub interval_ms: u64,
    /// Between checks while starting.
    pub start_interval_ms: u64,
    /// After which a check counts as failed.
    pub timeout_ms: u64,
    /// During which failures do not count.
    pub start_period_ms: u64,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
}

/// The monitor's one answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The process runs.
    Started(Started),
    /// It does not, and nothing is left behind.
    NotStarted(NotStarted),
}

/// The process runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Host pid of the first process.
    pub pid: u32,
    /// Anything the user should read, one sentence each.
    pub warnings: Vec<String>,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotStarted {
    /// Class.
    pub class: ErrorClass,
    /// What, why and the cure, in one sentence or two.
    pub message: String,
    /// Docker's exit code: 125, 126 (not executable) or 127 (not found).
    pub exit_code: u8,
}
