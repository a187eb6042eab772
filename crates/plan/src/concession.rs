//! Named openings. Each has a name, a sentence on what it costs, and (later) a probe that shows the open door.

use std::fmt;

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
    /// No user namespace: ids inside are those of the host.
    HostUsers,
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
    /// `--ulimit core` above 0.
    CoreDumps,
    /// `--oom-score-adj` below 0.
    SparedFromOom(i32),
}

impl Concession {
    /// The name, with what it is about: `capability CAP_NET_RAW`.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Capability(capability) => format!("capability {}", capability.name()),
            Self::NoSeccomp => "no system call filter".to_owned(),
            Self::NewPrivileges => "new privileges".to_owned(),
            Self::HostNetwork => "host network".to_owned(),
            Self::HostPid => "host processes".to_owned(),
            Self::HostUsers => "host users".to_owned(),
            Self::HostIpc => "host ipc".to_owned(),
            Self::HostUts => "host name of the host".to_owned(),
            Self::HostCgroup => "host cgroup view".to_owned(),
            Self::UnmaskedPaths => "unmasked paths".to_owned(),
            Self::Device(path) => format!("device {path}"),
            Self::NoLimit(limit) => format!("no limit on {limit}"),
            Self::HostPath(path) => format!("host path {path}"),
            Self::MountOption(option) => format!("mount option {option}"),
            Self::Sysctl(name) => format!("sysctl {name}"),
            Self::WritableKernelFiles => "writable kernel files".to_owned(),
            Self::CoreDumps => "core dumps".to_owned(),
            Self::SparedFromOom(score) => format!("oom score {score}"),
        }
    }

    /// What it costs, in one sentence.
    #[must_use]
    pub fn consequence(&self) -> &'static str {
        match self {
            Self::Capability(capability) => capability_consequence(*capability),
            Self::NoSeccomp => {
                "every system call of the kernel can be attacked, not only those that ordinary programs need"
            }
            Self::NewPrivileges => "set-uid programs and file capabilities inside give an ordinary user root inside",
            Self::HostNetwork => {
                "the container sees all traffic counters and reaches every service that listens on the host's loopback and \
                 abstract sockets"
            }
            Self::HostPid => "the container sees every process of the host, its arguments and its users",
            Self::HostUsers => {
                "root inside is root of the host as soon as any other wall fails, and files it makes belong to host users"
            }
            Self::HostIpc => "the container reaches the host's System V memory, semaphores and message queues",
            Self::HostUts => "the container sees the host's name as it changes",
            Self::HostCgroup => "the container sees the host's whole cgroup tree and where it stands in it",
            Self::UnmaskedPaths => {
                "kernel files that tell about the host or weaken address randomisation are visible, and only file \
                 permissions keep them from being written"
            }
            Self::Device(_) => {
                "the container talks to a driver of the host directly; the driver's bugs are within reach"
            }
            Self::NoLimit(_) => "the container can use it up for everyone on the host",
            Self::HostPath(_) => "what the container writes there is seen and perhaps executed by the host",
            Self::MountOption(_) => "set-uid programs or device files below it are honoured",
            Self::Sysctl(_) => "a setting of the host's own kernel changes",
            Self::WritableKernelFiles => {
                "kernel settings below /proc/sys and /sys that the container's ids own can be written"
            }
            Self::CoreDumps => "a crash inside is handed to the host's core-dump handler, which runs as root outside",
            Self::SparedFromOom(_) => "when memory is short the kernel kills others first",
        }
    }
}

/// Only within the container's own user namespace: never over the host's objects.
fn capability_consequence(capability: Capability) -> &'static str {
    match capability {
        Capability::SysAdmin => {
            "root inside may mount file systems and make namespaces, which opens much kernel code to attack"
        }
        Capability::NetAdmin => {
            "root inside may configure its own network, which opens the kernel's packet filter code"
        }
        Capability::NetRaw => {
            "the container can forge packets on its network and listen to all that pass its interface"
        }
        Capability::SysPtrace => "processes inside can read and change other processes inside, also of other users",
        Capability::DacReadSearch => "root inside can open files by handle; CVE-2014-3519 escaped that way",
        Capability::SysChroot => "root inside can change its root directory, a part of some past escapes",
        Capability::Mknod => "root inside can ask for device nodes; the user namespace still refuses them",
        Capability::Setfcap => "root inside can give programs file capabilities that count inside",
        Capability::Setpcap => "root inside can hand its capabilities on",
        Capability::Bpf => "programs can be loaded into the kernel's BPF machine where the host permits it",
        Capability::Perfmon => "performance counters can be read, which leak what neighbours do",
        Capability::SysModule
        | Capability::SysRawio
        | Capability::SysTime
        | Capability::SysPacct
        | Capability::Syslog => {
            "the kernel asks for the host's own capability, so inside it changes little but bookkeeping"
        }
        _ => "root inside can do more to the container's own processes, files and namespaces",
    }
}

impl fmt::Display for Concession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title(), self.consequence())
    }
}
