//! From a recorded configuration to the plan's wishes.

use bulkhead_plan::handover::LogDriver;
use bulkhead_plan::{
    Concession, HostFacts, HostMounts, IsolationPlan, Mount, MountFlags, MountSource, NetworkWish, Process,
};
use bulkhead_plan::{TerminalSize, Wishes};
use bulkhead_types::{ContainerId, IdMap, IdRange};

use crate::devices;
use crate::host;
use crate::model::{Error, Result};
use crate::mounts::{MountSpec, Source};
use crate::record::ContainerConfig;

/// The most that a container may mount: the hand-over carries at most 200 descriptors.
const MOST_MOUNTS: usize = 180;

/// The sealed plan for a container with these ids and mounts.
///
/// # Errors
/// If the plan refuses a wish.
pub(crate) fn seal(
    config: &ContainerConfig,
    ids: IdMap,
    mounts: Vec<Mount>,
    host_mounts: HostMounts,
) -> Result<IsolationPlan> {
    let mut found = Vec::new();
    for device in &config.devices {
        found.extend(devices::resolve(device)?);
    }
    let host_paths = config.mounts.iter().filter_map(|spec| match &spec.source {
        Source::Bind { path, .. } => Some(path.clone()),
        _ => None,
    });
    let network = if config.network == "host" { NetworkWish::Host } else { NetworkWish::Own };
    let wishes = Wishes {
        level: config.level,
        ids,
        hostname: config.hostname.clone(),
        process: process_of(config),
        init: config.init,
        read_only_root: config.read_only,
        mounts,
        host_paths: host_paths.collect(),
        cap_add: config.cap_add.clone(),
        cap_drop: config.cap_drop.clone(),
        privileged: config.privileged,
        security_opts: config.security_opt.clone(),
        devices: found,
        sysctls: config.sysctls.clone(),
        network,
        host_pid: config.host_pid,
        host_ipc: config.host_ipc,
        host_uts: config.host_uts,
        host_cgroup: config.host_cgroup,
        limits: config.limits.clone(),
        shm_size: config.shm_size,
        oom_score_adj: config.oom_score_adj,
        host: HostFacts {
            memory: host::memory(),
            open_files: host::open_files(),
            processors: host::possible_processors(),
        },
        host_mounts,
    };
    let mut plan = IsolationPlan::sealed(wishes).map_err(|error| Error::from(error).exiting(125))?;
    // The log lies outside the wall, so the plan knows nothing of its size; the opening must be seen all the same.
    if config.logs.as_ref().is_some_and(|logs| logs.driver == LogDriver::JsonFile && logs.max_size == 0) {
        plan.concessions.push(Concession::NoLimit("log".into()));
    }
    Ok(plan)
}

/// The plan as it will be, before there is a range or a mount: for `create`'s checks, `plan` and `inspect`.
///
/// # Errors
/// If the plan refuses a wish, or there are too many mounts.
pub(crate) fn seal_dry(config: &ContainerConfig) -> Result<IsolationPlan> {
    if config.mounts.len() > MOST_MOUNTS {
        return Err(Error::invalid(format!("{} mounts: at most {MOST_MOUNTS} are possible", config.mounts.len())));
    }
    let mounts = config.mounts.iter().zip(1u32..).map(|(spec, index)| planned(spec, index, false)).collect();
    let any = HostMounts { sysfs: Some(1), proc: Some(1), mqueue: Some(1), cgroup: Some(1) };
    let ids = IdRange { base: 0x7000_0000, count: bulkhead_types::CONTAINER_IDS }.container_map();
    seal(config, ids, mounts, any)
}

/// One mount of the plan; `index` and `file` are of its handle.
pub(crate) fn planned(spec: &MountSpec, index: u32, file: bool) -> Mount {
    let mut flags = MountFlags { read_only: spec.read_only, ..MountFlags::DATA };
    let handle = |label: &str| MountSource::Handle { index, label: label.to_owned(), file };
    let source = match &spec.source {
        Source::Bind { path, .. } => handle(path),
        Source::Volume(volume) => handle(volume.name.as_deref().unwrap_or("anonymous volume")),
        Source::Tmpfs { size, inodes, mode, exec } => {
            flags.noexec = !exec;
            // The kernel's own default is half of the memory, too.
            let size = size.unwrap_or_else(|| host::memory() / 2);
            MountSource::Tmpfs { size, inodes: *inodes, mode: *mode }
        }
    };
    Mount { target: spec.target.clone(), source, flags }
}

/// The first process.
pub(crate) fn process_of(config: &ContainerConfig) -> Process {
    let mut env = config.env.clone();
    let has = |env: &[String], key: &str| env.iter().any(|entry| entry.starts_with(key));
    if !has(&env, "HOSTNAME=") {
        env.push(format!("HOSTNAME={}", config.hostname));
    }
    if config.tty && !has(&env, "TERM=") {
        env.push("TERM=xterm".into());
    }
    let (rows, columns) = config.tty_size.unwrap_or((24, 80));
    Process {
        args: config.args(),
        env,
        cwd: config.workdir.clone(),
        user: config.user.clone(),
        groups: config.group_add.clone(),
        terminal: config.tty.then_some(TerminalSize { rows, columns }),
        rlimits: config.rlimits.clone(),
    }
}

/// cgroup path of a container below each hierarchy's mount.
pub(crate) fn cgroup(id: &ContainerId) -> String {
    format!("/bulkhead/{id}")
}
