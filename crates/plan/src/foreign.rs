//! What only a caller with a configuration of its own brings along: a plan that was made from somebody else's document
//! carries a [`Foreign`] with everything that our own plans never ask for. It is data like the rest of the plan, and the
//! cell carries it out; what it opens is named by [`crate::opened::concessions`].

use std::collections::BTreeMap;

use bulkhead_types::IdMap;
use serde::{Deserialize, Serialize};

use crate::capability::Capability;

pub use crate::resources::*;

/// A foreign caller's part of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Foreign {
    /// Version of the document that this came from.
    pub version: String,
    /// Words of the caller, passed on and never acted upon here.
    pub annotations: BTreeMap<String, String>,
    /// The root's path as it was written.
    pub root: String,
    /// `setdomainname(2)`.
    pub domain_name: Option<String>,
    /// Group ids; the plan's own `ids` are those of users. Both empty without a user namespace.
    pub groups: IdMap,
    /// Each namespace that is not the caller's: new without a path, else joined there.
    pub namespaces: Vec<NamespaceWish>,
    /// Propagation of the root mount.
    pub propagation: Option<Propagation>,
    /// In their order.
    pub mounts: Vec<ForeignMount>,
    /// Nodes to be made besides the six that every container has.
    pub devices: Vec<ForeignDevice>,
    /// What the first process is given.
    pub process: ForeignProcess,
    /// Programs of the caller.
    pub hooks: Hooks,
    /// Where the cgroup is to be, as it was written.
    pub cgroup: Option<String>,
    /// What the cgroup enforces.
    pub resources: Option<Resources>,
    /// The user namespace is an ordinary user's, who may not change additional groups.
    pub fixed_groups: bool,
    /// Keep the session keyring of whoever starts the container.
    pub keep_keyring: bool,
    /// Execution domain.
    pub personality: Option<u32>,
    /// Offsets of the clocks of a new time namespace.
    pub clocks: Option<Clocks>,
    /// Network interfaces that move in: name outside, name inside.
    pub interfaces: BTreeMap<String, String>,
    /// Cache and bandwidth of the processor.
    pub rdt: Option<Rdt>,
    /// Memory policy of NUMA nodes.
    pub memory_policy: Option<MemoryPolicy>,
    /// SELinux label of mounts.
    pub mount_label: Option<String>,
}

/// Kind of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum NamespaceKind {
    User,
    Mount,
    Pid,
    Network,
    Ipc,
    Uts,
    Cgroup,
    Time,
}

/// One namespace that the container does not share with its caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespaceWish {
    /// Which.
    pub kind: NamespaceKind,
    /// None makes a new one.
    pub path: Option<String>,
}

/// How mounts made on one side appear on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Propagation {
    Private,
    Shared,
    Slave,
    Unbindable,
}

/// A mount in the words of `mount(8)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForeignMount {
    /// Place inside.
    pub target: String,
    /// File system type.
    pub kind: Option<String>,
    /// Path or name of the source.
    pub source: Option<String>,
    /// Options, as written.
    pub options: Option<Vec<String>>,
    /// Map of the mount's user ids.
    pub users: Option<IdMap>,
    /// Map of the mount's group ids.
    pub groups: Option<IdMap>,
}

/// A device node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignDevice {
    /// Place inside.
    pub path: String,
    /// `c`, `u`, `b` or `p`.
    pub kind: char,
    /// Number; none for a pipe.
    pub major: Option<i64>,
    /// Number; none for a pipe.
    pub minor: Option<i64>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner inside.
    pub uid: Option<u32>,
    /// Group inside.
    pub gid: Option<u32>,
}

/// What a process is given besides [`crate::Process`]. Ids are numbers: no file of the image is asked who they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForeignProcess {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Additional groups.
    pub groups: Vec<u32>,
    /// `umask(2)`.
    pub umask: Option<u32>,
    /// Name of the user, for the caller's sake only.
    pub name: Option<String>,
    /// All five sets; none at all leaves all empty.
    pub capabilities: Option<CapabilitySets>,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// AppArmor profile to change to at exec.
    pub apparmor: Option<String>,
    /// SELinux label to change to at exec.
    pub selinux: Option<String>,
    /// Written to `oom_score_adj`; none leaves it.
    pub oom_score_adj: Option<i32>,
    /// `ioprio_set(2)`.
    pub io_priority: Option<IoPriority>,
    /// `sched_setattr(2)`.
    pub scheduler: Option<Scheduler>,
    /// Processors of a further process while it enters, and afterwards.
    pub affinity: Option<Affinity>,
    /// Descriptors from 3 on that stay open.
    pub preserve: u32,
}

/// `capabilities(7)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct CapabilitySets {
    pub bounding: Option<Vec<Capability>>,
    pub effective: Option<Vec<Capability>>,
    pub inheritable: Option<Vec<Capability>>,
    pub permitted: Option<Vec<Capability>>,
    pub ambient: Option<Vec<Capability>>,
}

/// `ioprio_set(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IoPriority {
    /// 1 realtime, 2 best effort, 3 idle.
    pub class: u8,
    /// 0 to 7.
    pub priority: Option<i32>,
}

/// `sched_setattr(2)`, in the kernel's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Scheduler {
    pub policy: u32,
    pub flags: Option<u64>,
    pub nice: Option<i32>,
    pub priority: Option<i32>,
    pub runtime: Option<u64>,
    pub deadline: Option<u64>,
    pub period: Option<u64>,
}

/// Lists of processors such as `0-3,7`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Affinity {
    /// Until it is in its cgroup.
    pub initial: Option<String>,
    /// From then on.
    pub last: Option<String>,
}

/// Programs that are run at six moments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Hooks {
    pub prestart: Option<Vec<Hook>>,
    pub create_runtime: Option<Vec<Hook>>,
    pub create_container: Option<Vec<Hook>>,
    pub start_container: Option<Vec<Hook>>,
    pub poststart: Option<Vec<Hook>>,
    pub poststop: Option<Vec<Hook>>,
}

/// One program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hook {
    /// Absolute.
    pub path: String,
    /// Arguments, the program's name first.
    pub args: Option<Vec<String>>,
    /// Environment.
    pub env: Option<Vec<String>>,
    /// Seconds.
    pub timeout: Option<u32>,
}

/// Offsets in seconds and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Clocks {
    pub boottime: Option<Offset>,
    pub monotonic: Option<Offset>,
}

/// One offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Offset {
    pub seconds: Option<i64>,
    pub nanoseconds: Option<u32>,
}

/// `resctrl`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Rdt {
    pub group: Option<String>,
    pub schemata: Option<Vec<String>>,
    pub cache: Option<String>,
    pub bandwidth: Option<String>,
    pub monitoring: Option<bool>,
}

/// `set_mempolicy(2)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryPolicy {
    /// The kernel's number.
    pub mode: u32,
    /// Flags, the kernel's bits.
    pub flags: Option<u32>,
    /// A list of nodes.
    pub nodes: Option<String>,
}

impl Foreign {
    /// The path of a namespace to join; `Some(None)` for a new one, `None` for the caller's.
    #[must_use]
    pub fn namespace(&self, kind: NamespaceKind) -> Option<Option<&str>> {
        self.namespaces.iter().find(|wish| wish.kind == kind).map(|wish| wish.path.as_deref())
    }

    /// True if the container is to make this one.
    #[must_use]
    pub fn makes(&self, kind: NamespaceKind) -> bool {
        self.namespace(kind) == Some(None)
    }
}
