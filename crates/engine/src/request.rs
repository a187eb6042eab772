//! What doors ask for. Fields carry Docker's words and units; an empty or `None` field was not given.

use std::collections::BTreeMap;
use std::time::Duration;

use bulkhead_plan::TerminalSize;
use bulkhead_plan::handover::RestartPolicy;
use bulkhead_types::Platform;

/// `create` and `run`.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools)]
pub struct CreateRequest {
    /// Reference or id.
    pub image: String,
    /// `--pull`.
    pub pull: PullPolicy,
    /// `--platform`.
    pub platform: Option<Platform>,
    /// `--isolation`: `standard`, `hardened`; `vm` is refused until it exists.
    pub isolation: Option<String>,
    /// `--name`.
    pub name: Option<String>,
    /// Words behind the image.
    pub command: Vec<String>,
    /// `--entrypoint`; `Some("")` clears the image's.
    pub entrypoint: Option<String>,
    /// `-e`, `--env-file`, already `KEY=value` (a bare `KEY` was looked up by the door).
    pub env: Vec<String>,
    /// `-w`
    pub workdir: Option<String>,
    /// `-u`
    pub user: Option<String>,
    /// `--group-add`
    pub group_add: Vec<String>,
    /// `-v` in Docker's short form.
    pub volumes: Vec<String>,
    /// `--mount` in Docker's long form.
    pub mounts: Vec<String>,
    /// `--tmpfs PATH[:options]`
    pub tmpfs: Vec<String>,
    /// `--volumes-from NAME[:ro]`
    pub volumes_from: Vec<String>,
    /// `--read-only`
    pub read_only: bool,
    /// `--hostname`
    pub hostname: Option<String>,
    /// `--domainname`
    pub domainname: Option<String>,
    /// `--add-host name:address`
    pub add_host: Vec<String>,
    /// `--dns`
    pub dns: Vec<String>,
    /// `--dns-search`
    pub dns_search: Vec<String>,
    /// `--dns-option`
    pub dns_option: Vec<String>,
    /// `--label`, `--label-file`
    pub labels: BTreeMap<String, String>,
    /// `--annotation`
    pub annotations: BTreeMap<String, String>,
    /// Bytes; 0 asks for none.
    pub memory: Option<u64>,
    /// Bytes of memory and swap together; -1 unlimited swap.
    pub memory_swap: Option<i64>,
    /// Bytes.
    pub memory_reservation: Option<u64>,
    /// Processors as a number of billionths (`--cpus 1.5` is 1500000000).
    pub nano_cpus: Option<u64>,
    /// `--cpu-quota`, `--cpu-period`, microseconds.
    pub cpu_quota: Option<u64>,
    /// See `cpu_quota`.
    pub cpu_period: Option<u64>,
    /// `--cpu-shares`
    pub cpu_shares: Option<u64>,
    /// `--cpuset-cpus`
    pub cpuset_cpus: Option<String>,
    /// `--cpuset-mems`
    pub cpuset_mems: Option<String>,
    /// -1 or 0: unlimited.
    pub pids_limit: Option<i64>,
    /// `--blkio-weight`
    pub blkio_weight: Option<u16>,
    /// `PATH:RATE`, rate with a unit.
    pub device_read_bps: Vec<String>,
    /// As `device_read_bps`.
    pub device_write_bps: Vec<String>,
    /// `PATH:RATE`, a plain number.
    pub device_read_iops: Vec<String>,
    /// As `device_read_iops`.
    pub device_write_iops: Vec<String>,
    /// `--ulimit name=soft[:hard]`
    pub ulimits: Vec<String>,
    /// Bytes.
    pub shm_size: Option<u64>,
    /// `--cap-add`
    pub cap_add: Vec<String>,
    /// `--cap-drop`
    pub cap_drop: Vec<String>,
    /// `--security-opt`
    pub security_opt: Vec<String>,
    /// `--sysctl`
    pub sysctls: BTreeMap<String, String>,
    /// `--device HOST[:INSIDE[:rwm]]`
    pub devices: Vec<String>,
    /// `--privileged`
    pub privileged: bool,
    /// `--init`
    pub init: bool,
    /// `--restart`
    pub restart: RestartPolicy,
    /// `--rm`
    pub remove: bool,
    /// `--stop-signal`
    pub stop_signal: Option<String>,
    /// Seconds.
    pub stop_timeout: Option<u32>,
    /// `--health-*`; all empty inherits the image's.
    pub health: HealthRequest,
    /// `--log-driver`
    pub log_driver: Option<String>,
    /// `--log-opt`
    pub log_opts: BTreeMap<String, String>,
    /// `none`, `host`, `default` (empty); anything else is refused until networks exist.
    pub network: String,
    /// `--publish`: refused until networks exist.
    pub publish: Vec<String>,
    /// `host` or empty.
    pub pid_mode: String,
    /// `host`, `private` or empty.
    pub ipc_mode: String,
    /// `host` or empty.
    pub uts_mode: String,
    /// `host`, `private` or empty.
    pub cgroupns_mode: String,
    /// `host` is refused with the reason; empty or `private`.
    pub userns_mode: String,
    /// `--oom-score-adj`
    pub oom_score_adj: Option<i32>,
    /// `-i`
    pub stdin_open: bool,
    /// Close standard input when the first attachment leaves (`-i` without `-d`).
    pub stdin_once: bool,
    /// `-t`
    pub tty: bool,
    /// Size of the caller's terminal.
    pub tty_size: Option<TerminalSize>,
    /// Attached from the start (for `inspect`'s `AttachStdout` and the like).
    pub attach: bulkhead_plan::control::Streams,
}

/// `--pull`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// If it is not here.
    #[default]
    Missing,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `--health-*`.
#[derive(Clone, Debug, Default)]
pub struct HealthRequest {
    /// `--no-healthcheck`
    pub disable: bool,
    /// `--health-cmd`, run by the shell.
    pub cmd: Option<String>,
    /// `--health-interval`
    pub interval: Option<Duration>,
    /// `--health-timeout`
    pub timeout: Option<Duration>,
    /// `--health-start-period`
    pub start_period: Option<Duration>,
    /// `--health-start-interval`
    pub start_interval: Option<Duration>,
    /// `--health-retries`
    pub retries: Option<u32>,
}

/// `exec`.
#[derive(Clone, Debug, Default)]
pub struct ExecRequest {
    /// Words.
    pub command: Vec<String>,
    /// `KEY=value`, added to the container's.
    pub env: Vec<String>,
    /// `-w`
    pub workdir: Option<String>,
    /// `-u`
    pub user: Option<String>,
    /// `-t` with this size.
    pub terminal: Option<TerminalSize>,
    /// `--privileged`
    pub privileged: bool,
}

/// `logs`.
#[derive(Clone, Debug, Default)]
pub struct LogRequest {
    /// Go on until the container stops.
    pub follow: bool,
    /// Last lines only; `None` is all.
    pub tail: Option<u64>,
    /// RFC 3339, a Unix time or a duration before now.
    pub since: Option<String>,
    /// As `since`.
    pub until: Option<String>,
    /// Which streams; both false means both.
    pub stdout: bool,
    /// See `stdout`.
    pub stderr: bool,
}

/// `update`. `None` leaves a value as it is.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct UpdateRequest {
    pub memory: Option<u64>,
    pub memory_swap: Option<i64>,
    pub memory_reservation: Option<u64>,
    pub nano_cpus: Option<u64>,
    pub cpu_quota: Option<u64>,
    pub cpu_period: Option<u64>,
    pub cpu_shares: Option<u64>,
    pub cpuset_cpus: Option<String>,
    pub cpuset_mems: Option<String>,
    pub pids_limit: Option<i64>,
    pub blkio_weight: Option<u16>,
    pub restart: Option<RestartPolicy>,
}

/// `commit`.
#[derive(Clone, Debug, Default)]
pub struct CommitRequest {
    /// `repository[:tag]`
    pub reference: Option<String>,
    /// `-m`
    pub message: Option<String>,
    /// `-a`
    pub author: Option<String>,
    /// `-c`: Dockerfile instructions (`CMD`, `ENTRYPOINT`, `ENV`, `EXPOSE`, `LABEL`, `ONBUILD`, `USER`, `VOLUME`, `WORKDIR`).
    pub changes: Vec<String>,
    /// Freeze it meanwhile (Docker's default).
    pub pause: bool,
}

/// `image base debian`.
#[derive(Clone, Debug, Default)]
pub struct BaseRequest {
    /// `bookworm`, …
    pub suite: String,
    /// Mirror; the host's own sources by default.
    pub mirror: Option<String>,
    /// Keyring that the archive must be signed by; Debian's by default.
    pub keyring: Option<std::path::PathBuf>,
    /// Further packages.
    pub include: Vec<String>,
    /// Name of the image; `debian:SUITE` by default.
    pub reference: Option<String>,
    /// `minbase` (default), `essential`, `apt`, …
    pub variant: Option<String>,
}
