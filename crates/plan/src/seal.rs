//! From wishes to a sealed plan: the only place where defaults are decided.

mod capabilities;
mod devices;
mod limits;
mod mounts;
mod options;
mod sysctls;
mod words;

pub(crate) use capabilities::STANDARD;

use std::collections::BTreeMap;

use bulkhead_types::{ErrorClass, IdMap};

use crate::concession::Concession;
use crate::model::{Device, IsolationPlan, Level, Limits, Mount, Namespaces, PLAN_VERSION, Process, SeccompPolicy};

/// What the user and the image ask for, already merged; nothing here weakens by itself.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// `--isolation`.
    pub level: Level,
    /// The container's own range.
    pub ids: IdMap,
    /// Host name inside.
    pub hostname: String,
    /// The first process. Its `rlimits` hold only what the user asked for; sealing adds the defaults.
    pub process: Process,
    /// `--init`.
    pub init: bool,
    /// `--read-only`.
    pub read_only_root: bool,
    /// Bind mounts, volumes, tmpfs mounts and the engine's own files, in order; sealing adds the pseudo file systems
    /// in front.
    pub mounts: Vec<Mount>,
    /// Host paths that were bound (one concession each).
    pub host_paths: Vec<String>,
    /// `--cap-add`, `--cap-drop`: Docker's words (`ALL`, `NET_ADMIN`, `CAP_NET_ADMIN`, any case).
    pub cap_add: Vec<String>,
    /// See `cap_add`.
    pub cap_drop: Vec<String>,
    /// `--privileged`.
    pub privileged: bool,
    /// `--security-opt`, Docker's words.
    pub security_opts: Vec<String>,
    /// `--device`, resolved to numbers by the engine.
    pub devices: Vec<Device>,
    /// `--sysctl`.
    pub sysctls: BTreeMap<String, String>,
    /// `none`, `host` or `default`.
    pub network: NetworkWish,
    /// `--pid host`.
    pub host_pid: bool,
    /// `--ipc host`.
    pub host_ipc: bool,
    /// `--uts host`.
    pub host_uts: bool,
    /// `--cgroupns host`.
    pub host_cgroup: bool,
    /// What was asked for by `--memory` and the like; sealing fills the rest with defaults. `Some(0)` or, for pids and
    /// swap, `Some(u64::MAX)` asks for no limit, which becomes a concession.
    pub limits: Limits,
    /// `--shm-size` in bytes; default 64 MiB.
    pub shm_size: Option<u64>,
    /// `--oom-score-adj`.
    pub oom_score_adj: i32,
    /// What the defaults are measured by.
    pub host: HostFacts,
    /// Pseudo file systems of a host namespace that the container shares.
    pub host_mounts: HostMounts,
}

/// What sealing must know about the machine to choose defaults. 0 means unknown, and a cautious default is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Bytes of memory (`MemTotal`).
    pub memory: u64,
    /// Hard limit of open files (`RLIMIT_NOFILE`) of the process that starts the monitor; `u64::MAX` for none.
    pub open_files: u64,
    /// Processors, as `/sys/devices/system/cpu` counts them.
    pub processors: u32,
}

/// Only the owner of a namespace may mount its pseudo file system anew, so where the container shares a namespace of the
/// host, the engine clones its own mount (`open_tree`) and names the handle's index here. A plan that is only shown may
/// take any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostMounts {
    /// `/sys`, needed with `--network host`; attached read-only.
    pub sysfs: Option<u32>,
    /// `/proc`, needed with `--pid host`.
    pub proc: Option<u32>,
    /// `/dev/mqueue`, wanted with `--ipc host`; without it there is none inside.
    pub mqueue: Option<u32>,
    /// `/sys/fs/cgroup`, wanted with `--cgroupns host`; attached read-only; without it there is none inside.
    pub cgroup: Option<u32>,
}

/// `--network`, as far as the wall is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkWish {
    /// An own namespace.
    #[default]
    Own,
    /// The host's.
    Host,
}

/// A wish that contradicts itself or cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PlanError {
    /// Invalid or Unsupported.
    pub class: ErrorClass,
    /// What, why and the cure.
    pub message: String,
}

impl PlanError {
    fn invalid(message: impl Into<String>) -> Self {
        Self { class: ErrorClass::Invalid, message: message.into() }
    }

    fn unsupported(message: impl Into<String>) -> Self {
        Self { class: ErrorClass::Unsupported, message: message.into() }
    }
}

impl IsolationPlan {
    /// The sealed plan for these wishes: closed, then opened by one named concession per wish that weakens.
    ///
    /// # Errors
    /// If a wish is malformed, contradictory or not supported yet; the text names the flag and the cure.
    pub fn sealed(wishes: Wishes) -> Result<Self, PlanError> {
        words::check(&wishes)?;
        let mut conceded = Vec::new();
        let options = options::parse(&wishes, &mut conceded)?;
        let namespaces = namespaces(&wishes, &mut conceded)?;
        let capabilities = capabilities::choose(&wishes, &mut conceded)?;
        let sysctls = sysctls::choose(&wishes, namespaces)?;
        let devices = devices::choose(&wishes, &mut conceded)?;
        let limits = limits::choose(&wishes, &mut conceded)?;
        let mut process = wishes.process.clone();
        process.rlimits = limits::rlimits(&wishes, &mut conceded)?;
        conceded.extend(wishes.host_paths.iter().cloned().map(Concession::HostPath));
        let mounts = mounts::choose(&wishes, namespaces, &limits, &mut conceded)?;
        if wishes.oom_score_adj < 0 {
            conceded.push(Concession::SparedFromOom(wishes.oom_score_adj));
        }
        Ok(Self {
            version: PLAN_VERSION,
            level: wishes.level,
            namespaces,
            process,
            init: wishes.init,
            read_only_root: wishes.read_only_root || wishes.level == Level::Hardened,
            mounts,
            masked_paths: mounts::masked(&wishes, options.unmasked),
            read_only_paths: mounts::read_only(&wishes, options.unmasked),
            devices,
            sysctls,
            capabilities,
            no_new_privs: !options.new_privileges,
            seccomp: if options.unconfined { SeccompPolicy::Unconfined } else { SeccompPolicy::Default },
            limits,
            oom_score_adj: wishes.oom_score_adj,
            concessions: conceded,
            foreign: None,
            ids: wishes.ids,
            hostname: wishes.hostname,
        })
    }
}

/// All eight, less the ones that are shared with the host by name.
fn namespaces(wishes: &Wishes, conceded: &mut Vec<Concession>) -> Result<Namespaces, PlanError> {
    if wishes.host_pid && wishes.init {
        return Err(PlanError::invalid(
            "--init needs a process namespace of the container's own, and --pid host shares the host's: leave out one",
        ));
    }
    let host_network = wishes.network == NetworkWish::Host;
    let shared = [
        (host_network, Concession::HostNetwork),
        (wishes.host_pid, Concession::HostPid),
        (wishes.host_ipc, Concession::HostIpc),
        (wishes.host_uts, Concession::HostUts),
        (wishes.host_cgroup, Concession::HostCgroup),
    ];
    conceded.extend(shared.into_iter().filter(|(is_shared, _)| *is_shared).map(|(_, concession)| concession));
    Ok(Namespaces {
        pid: !wishes.host_pid,
        network: !host_network,
        ipc: !wishes.host_ipc,
        uts: !wishes.host_uts,
        cgroup: !wishes.host_cgroup,
        ..Namespaces::ALL
    })
}

#[cfg(test)]
mod tests;
