//! Limits: the plan's as the cgroup room's, and those of a process that only the parent may raise.

use bulkhead_plan::{Limits, Process, ThrottleKind};
use bulkhead_sys::SysError;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Rlimit};

use crate::steps::resource;

/// The cgroup room's terms.
pub fn translate(limits: &Limits) -> bulkhead_cgroup::Limits {
    let kind = |kind: ThrottleKind| match kind {
        ThrottleKind::ReadBps => bulkhead_cgroup::Throttle::ReadBps,
        ThrottleKind::WriteBps => bulkhead_cgroup::Throttle::WriteBps,
        ThrottleKind::ReadIops => bulkhead_cgroup::Throttle::ReadIops,
        ThrottleKind::WriteIops => bulkhead_cgroup::Throttle::WriteIops,
    };
    bulkhead_cgroup::Limits {
        memory: limits.memory,
        swap: limits.swap,
        memory_reservation: limits.memory_reservation,
        pids: limits.pids,
        cpu_quota: limits.cpu_quota,
        cpu_period: limits.cpu_period,
        cpu_shares: limits.cpu_shares,
        cpuset_cpus: limits.cpuset_cpus.clone(),
        cpuset_mems: limits.cpuset_mems.clone(),
        blkio_weight: limits.blkio_weight,
        throttle: limits.throttle.iter().map(|one| (one.major, one.minor, kind(one.kind), one.rate)).collect(),
        oom_group: limits.oom_group,
    }
}

/// Raises hard limits of a child above ours where the host lets us (`CAP_SYS_RESOURCE`). Where it does not, the child
/// lowers the wish and says so.
pub fn raise(pid: u32, wanted: &[bulkhead_plan::Rlimit]) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    for limit in wanted {
        let Some(resource) = resource(&limit.name) else { continue };
        let ours = rustix::process::getrlimit(resource).maximum;
        let higher = match (limit.hard, ours) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(wanted), Some(ours)) => wanted > ours,
        };
        if higher {
            let raised = Rlimit { current: limit.soft, maximum: limit.hard };
            // EPERM is the answer of a host that does not let us; the child's step handles that.
            rustix::process::prlimit(Some(pid), resource, raised).ok();
        }
    }
}

/// Sentences on limits that had to be lowered.
pub fn lowered(bits: u32, process: &Process) -> Vec<String> {
    let number = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
    let named = process.rlimits.iter().take(32).enumerate().filter(|(index, _)| bits & (1 << index) != 0);
    named
        .map(|(_, limit)| {
            let ours = resource(&limit.name).and_then(|resource| rustix::process::getrlimit(resource).maximum);
            format!(
                "ulimit {}={}:{} lies above this session's hard limit and was lowered to {}; raising it needs \
                 CAP_SYS_RESOURCE on the host",
                limit.name,
                number(limit.soft),
                number(limit.hard),
                number(ours)
            )
        })
        .collect()
}

/// Sets `oom_score_adj` of a child. A sentence if the host does not let us go as low.
///
/// # Errors
/// If it cannot be set for another reason.
pub fn score(pid: u32, wanted: i32) -> Result<Option<String>, SysError> {
    let own = read_score()?;
    if own == wanted {
        return Ok(None);
    }
    let path = format!("/proc/{pid}/oom_score_adj");
    let fail = |errno| SysError::new("write", path.clone(), errno);
    let file = rustix::fs::openat(CWD, path.as_str(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
    match rustix::io::write(&file, wanted.to_string().as_bytes()) {
        Ok(_) => Ok(None),
        Err(Errno::ACCESS | Errno::PERM) => Ok(Some(format!(
            "oom_score_adj stays at {own} instead of {wanted}; lowering it needs CAP_SYS_RESOURCE on the host"
        ))),
        Err(errno) => Err(fail(errno)),
    }
}

fn read_score() -> Result<i32, SysError> {
    let fail = |errno| SysError::new("read", "/proc/self/oom_score_adj", errno);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, "/proc/self/oom_score_adj", flags, Mode::empty()).map_err(fail)?;
    let mut buffer = [0u8; 16];
    let length = rustix::io::read(&file, &mut buffer).map_err(fail)?;
    let text = std::str::from_utf8(buffer.get(..length).unwrap_or_default()).unwrap_or_default();
    text.trim().parse().map_err(|_| fail(Errno::INVAL))
}
