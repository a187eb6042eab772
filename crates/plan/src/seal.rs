//! From wishes to a sealed plan: the only place where defaults are decided.

use std::collections::BTreeMap;

use bulkhead_types::{ErrorClass, IdMap};

use crate::model::{Device, IsolationPlan, Level, Limits, Mount, Process};

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

impl IsolationPlan {
    /// The sealed plan for these wishes: closed, then opened by one named concession per wish that weakens.
    ///
    /// # Errors
    /// If a wish is malformed, contradictory or not supported yet; the text names the flag and the cure.
    pub fn sealed(wishes: Wishes) -> Result<Self, PlanError> {
        let _ = wishes;
        todo!("walls")
    }
}
