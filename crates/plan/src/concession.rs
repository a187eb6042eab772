//! Named openings. Each has a name, a sentence on what it costs, and (later) a probe that shows the open door.

use serde::{Deserialize, Serialize};

use crate::capability::Capability;

/// One deviation from the level's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "name", content = "detail")]
pub enum Concession {
    /// `--cap-add`.
    Capability(Capability),
    /// `--security-opt seccomp=unconfined`.
    NoSeccomp,
    /// `--security-opt no-new-privileges=false`.
    NewPrivileges,
    /// `--network host`.
    HostNetwork,
    /// `--pid host`.
    HostPid,
    /// `--ipc host`.
    HostIpc,
    /// `--uts host`.
    HostUts,
    /// `--cgroupns host`.
    HostCgroup,
    /// `--security-opt systempaths=unconfined`.
    UnmaskedPaths,
    /// `--device`.
    Device(String),
    /// `--memory 0`-like opt-outs: the named limit is off.
    NoLimit(String),
    /// A bind mount of a host path.
    HostPath(String),
    /// A bind mount or volume with `suid`, `dev`.
    MountOption(String),
    /// `--sysctl` of a namespace that is the host's.
    Sysctl(String),
    /// Writable `/sys` and `/proc/sys` (`--privileged`).
    WritableKernelFiles,
}
