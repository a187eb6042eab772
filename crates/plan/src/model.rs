//! The data of a plan. Everything the wall needs is here and nothing else is consulted.

use std::collections::BTreeMap;

use bulkhead_types::IdMap;
use serde::{Deserialize, Serialize};

use crate::capability::Capability;
use crate::concession::Concession;
use crate::foreign::Foreign;

/// Version of the plan's JSON form; a monitor refuses another one.
pub const PLAN_VERSION: u32 = 1;

/// How strongly a container is isolated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Shared kernel, own id range, all namespaces, allow-list filter.
    #[default]
    Standard,
    /// Standard, and: no capabilities, read-only root, stricter filter.
    Hardened,
}

/// The complete isolation of one container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsolationPlan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// The notch of the dial that the defaults came from.
    pub level: Level,
    /// Each deviation from the level, in the order it was asked for.
    pub concessions: Vec<Concession>,
    /// Container ids to host ids, users and groups alike.
    pub ids: IdMap,
    /// Which namespaces are new (`true`); a `false` is always covered by a concession.
    pub namespaces: Namespaces,
    /// `sethostname(2)`.
    pub hostname: String,
    /// The first process.
    pub process: Process,
    /// Run our own tiny init as pid 1 in front of the process (`--init`).
    pub init: bool,
    /// Remount the root read-only after everything is in place.
    pub read_only_root: bool,
    /// In the order they are attached. The root itself is handle 0 of the hand-over and is not listed.
    pub mounts: Vec<Mount>,
    /// Covered with an empty object. Absolute paths inside; a missing one is skipped.
    pub masked_paths: Vec<String>,
    /// Bound onto themselves read-only. Absolute paths inside; a missing one is skipped.
    pub read_only_paths: Vec<String>,
    /// Device nodes made in the container's own `/dev` and allowed by the device cgroup.
    pub devices: Vec<Device>,
    /// Written below `/proc/sys` of the container's own namespaces, before `/proc/sys` becomes read-only.
    pub sysctls: BTreeMap<String, String>,
    /// Capabilities of root inside (bounding, permitted, effective); inheritable and ambient stay empty.
    pub capabilities: Vec<Capability>,
    /// `PR_SET_NO_NEW_PRIVS`; `false` only with its concession.
    pub no_new_privs: bool,
    /// The system call filter.
    pub seccomp: SeccompPolicy,
    /// What the cgroup enforces.
    pub limits: Limits,
    /// Written to `/proc/PID/oom_score_adj`.
    pub oom_score_adj: i32,
    /// What a caller with a configuration of its own brings along; our own plans have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<Box<Foreign>>,
}

/// Which filter a container gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeccompPolicy {
    /// The level's own filter, opened only as far as the plan's capabilities ask for.
    #[default]
    Default,
    /// None, by concession.
    Unconfined,
}

/// Which namespaces are the container's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)]
pub struct Namespaces {
    /// There is no way to turn this one off.
    pub user: bool,
    /// There is no way to turn this one off.
    pub mount: bool,
    /// `--pid host` clears it.
    pub pid: bool,
    /// `--network host` clears it.
    pub network: bool,
    /// `--ipc host` clears it.
    pub ipc: bool,
    /// `--uts host` clears it.
    pub uts: bool,
    /// `--cgroupns host` clears it.
    pub cgroup: bool,
    /// Own clock offsets.
    pub time: bool,
}

impl Namespaces {
    /// All eight.
    pub const ALL: Self =
        Self { user: true, mount: true, pid: true, network: true, ipc: true, uts: true, cgroup: true, time: true };
}

/// A process to execute inside: the first one, an exec, a health check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Program and arguments; never empty.
    pub args: Vec<String>,
    /// `KEY=value`. `HOME` is added from the container's passwd file if it is missing.
    pub env: Vec<String>,
    /// Absolute; created if missing (Docker does).
    pub cwd: String,
    /// `user[:group]`, names or numbers, resolved *inside* from the container's own files, never by nss.
    pub user: String,
    /// Additional groups (`--group-add`), names or numbers.
    pub groups: Vec<String>,
    /// A terminal of this size in rows and columns; none means pipes.
    pub terminal: Option<TerminalSize>,
    /// Resource limits of `setrlimit(2)`.
    pub rlimits: Vec<Rlimit>,
}

/// Rows and columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// One `setrlimit(2)`; `None` means unlimited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// Docker's name: `nofile`, `nproc`, `core`, …
    pub name: String,
    /// Soft limit.
    pub soft: Option<u64>,
    /// Hard limit.
    pub hard: Option<u64>,
}

/// One thing attached below the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Absolute path inside. Resolved below the root without following a link out of it; created if missing.
    pub target: String,
    /// What is attached.
    pub source: MountSource,
    /// How.
    pub flags: MountFlags,
}

/// Where a mount comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A detached mount that the engine opened: index into the hand-over's handles. Bind mounts, volumes, and the
    /// files that the engine writes (`/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`).
    Handle {
        /// Index into the descriptors of the hand-over.
        index: u32,
        /// What the user wrote, for messages only.
        label: String,
        /// True for a single file.
        file: bool,
    },
    /// A new procfs of the container's pid namespace.
    Proc,
    /// A new sysfs of the container's network namespace.
    Sysfs,
    /// The container's own part of the cgroup tree.
    Cgroup,
    /// A new devpts instance.
    Devpts,
    /// A new POSIX message queue file system.
    Mqueue,
    /// `/dev` with the plan's device nodes, prepared by the wall.
    Dev,
    /// A tmpfs. `size` in bytes, `inodes` a count, `mode` permission bits, owner ids inside.
    Tmpfs {
        /// Bytes.
        size: u64,
        /// Files; 0 means the kernel's default.
        inodes: u64,
        /// Permission bits, for example `0o1777`.
        mode: u32,
    },
}

/// Attributes of a mount (`mount_setattr(2)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)]
pub struct MountFlags {
    /// `ro`
    pub read_only: bool,
    /// `nosuid`
    pub nosuid: bool,
    /// `nodev`
    pub nodev: bool,
    /// `noexec`
    pub noexec: bool,
}

impl MountFlags {
    /// `nosuid,nodev,noexec`, what pseudo file systems get.
    pub const PSEUDO: Self = Self { read_only: false, nosuid: true, nodev: true, noexec: true };
    /// `nosuid,nodev`, what folders of the user get.
    pub const DATA: Self = Self { read_only: false, nosuid: true, nodev: true, noexec: false };
}

/// A device node that exists inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Absolute path inside, below `/dev`.
    pub path: String,
    /// `c` or `b`.
    pub kind: char,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Device cgroup rights: of `rwm`.
    pub access: String,
}

/// What the cgroup enforces. `None` leaves the kernel's "no limit", which for memory, swap and pids only a
/// concession can bring about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<u64>,
    /// Bytes of swap alone (not memory plus swap).
    pub swap: Option<u64>,
    /// Bytes (`--memory-reservation`).
    pub memory_reservation: Option<u64>,
    /// Tasks.
    pub pids: Option<u64>,
    /// Microseconds of processor time per period.
    pub cpu_quota: Option<u64>,
    /// Microseconds.
    pub cpu_period: Option<u64>,
    /// v1 shares, 2 to 262144; converted for v2.
    pub cpu_shares: Option<u64>,
    /// `0-3,5`
    pub cpuset_cpus: Option<String>,
    /// `0-1`
    pub cpuset_mems: Option<String>,
    /// 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// Per-device throttles.
    pub throttle: Vec<Throttle>,
    /// `--oom-kill-disable` is refused; a killed group dies whole.
    pub oom_group: bool,
}

/// One io throttle of a block device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Major number of the block device.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// What is counted.
    pub kind: ThrottleKind,
    /// Bytes or operations per second.
    pub rate: u64,
}

/// What a throttle counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThrottleKind {
    /// Bytes read.
    ReadBps,
    /// Bytes written.
    WriteBps,
    /// Reads.
    ReadIops,
    /// Writes.
    WriteIops,
}
