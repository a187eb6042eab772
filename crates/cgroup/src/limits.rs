//! Writing limits, each in the words of the version that has its controller.

use bulkhead_types::ErrorClass;
use rustix::io::Errno;

use crate::error::Error;
use crate::file::{Group, parse_number};
use crate::layout::Controller;
use crate::model::{Limits, Throttle};
use crate::{Branch, Cgroup};

/// Writes every limit that is `Some`; a missing controller is an error. Returns what cannot be enforced here although
/// it is only a default.
/// `fresh`: the group was made just now and has no limits yet.
pub(crate) fn apply(group: &Cgroup, limits: &Limits, fresh: bool) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    if limits.memory.is_some() || limits.swap.is_some() || limits.memory_reservation.is_some() {
        match group.branch(Controller::Memory) {
            Some(Branch { group, v2: false, .. }) => memory_v1(group, limits, fresh, &mut warnings)?,
            Some(Branch { group, .. }) => memory_v2(group, limits, &mut warnings)?,
            None => return Err(Error::missing("memory", "memory", "--memory and --memory-swap")),
        }
    }
    if let Some(pids) = limits.pids {
        let branch = group.branch(Controller::Pids);
        let branch = branch.ok_or_else(|| Error::missing("the number of processes", "pids", "--pids-limit"))?;
        branch.group.write("pids.max", &or_max(pids))?;
    }
    if limits.cpu_quota.is_some() || limits.cpu_period.is_some() || limits.cpu_shares.is_some() {
        match group.branch(Controller::Cpu) {
            Some(Branch { group, v2: false, .. }) => cpu_v1(group, limits)?,
            Some(Branch { group, .. }) => cpu_v2(group, limits)?,
            None => return Err(Error::missing("processor time", "cpu", "--cpus and --cpu-shares")),
        }
    }
    if limits.cpuset_cpus.is_some() || limits.cpuset_mems.is_some() {
        let branch = group.branch(Controller::Cpuset);
        let branch = branch.ok_or_else(|| Error::missing("the set of processors", "cpuset", "--cpuset-cpus"))?;
        for (file, value) in [("cpuset.cpus", &limits.cpuset_cpus), ("cpuset.mems", &limits.cpuset_mems)] {
            if let Some(value) = value {
                branch.group.write(file, value)?;
            }
        }
    }
    if limits.blkio_weight.is_some() || !limits.throttle.is_empty() {
        let branch = group.branch(Controller::Blkio);
        let branch = branch.ok_or_else(|| Error::missing("disk traffic", "blkio", "--blkio-weight and --device-…"))?;
        block(branch, limits)?;
    }
    Ok(warnings)
}

fn or_max(number: u64) -> String {
    if number == u64::MAX { "max".to_owned() } else { number.to_string() }
}

fn v1_bytes(number: u64) -> String {
    // Version 1 takes a signed number, -1 for none.
    i64::try_from(number).map_or_else(|_| "-1".to_owned(), |number| number.to_string())
}

fn memory_v1(group: &Group, limits: &Limits, fresh: bool, warnings: &mut Vec<String>) -> Result<(), Error> {
    const MEMORY: &str = "memory.limit_in_bytes";
    const BOTH: &str = "memory.memsw.limit_in_bytes";
    let old = |file| if fresh { group.exists(file).then_some(u64::MAX) } else { group.number(file) };
    let old_memory = if fresh { u64::MAX } else { group.number(MEMORY).unwrap_or(u64::MAX) };
    let memory = limits.memory.unwrap_or(old_memory);
    let write_memory = || limits.memory.map_or(Ok(()), |bytes| group.write(MEMORY, &v1_bytes(bytes)));
    match old(BOTH) {
        None => {
            write_memory()?;
            swap_uncounted(group, limits.swap, warnings)?;
        }
        Some(old_both) => {
            // The file counts memory and swap together, and must never be below the memory limit: hence the order.
            let swap = limits.swap.unwrap_or_else(|| difference(old_both, old_memory));
            let both = memory.saturating_add(swap);
            if memory == u64::MAX && limits.swap.is_some_and(|swap| swap != u64::MAX) {
                warnings.push(
                    "swap is not limited: cgroup version 1 can limit it only together with memory; give --memory"
                        .to_owned(),
                );
            }
            if both >= old_both {
                group.write(BOTH, &v1_bytes(both))?;
                write_memory()?;
            } else {
                write_memory()?;
                group.write(BOTH, &v1_bytes(both))?;
            }
        }
    }
    match limits.memory_reservation {
        Some(bytes) => group.write("memory.soft_limit_in_bytes", &v1_bytes(bytes)),
        None => Ok(()),
    }
}

fn difference(both: u64, memory: u64) -> u64 {
    if both == u64::MAX { u64::MAX } else { both.saturating_sub(memory) }
}

fn memory_v2(group: &Group, limits: &Limits, warnings: &mut Vec<String>) -> Result<(), Error> {
    if let Some(bytes) = limits.memory {
        group.write("memory.max", &or_max(bytes))?;
    }
    if group.exists("memory.swap.max") {
        if let Some(bytes) = limits.swap {
            group.write("memory.swap.max", &or_max(bytes))?;
        }
    } else {
        swap_uncounted(group, limits.swap, warnings)?;
    }
    if let Some(bytes) = limits.memory_reservation {
        group.write("memory.low", &or_max(bytes))?;
    }
    if limits.oom_group {
        group.write("memory.oom.group", "1")?;
    }
    Ok(())
}

/// The kernel does not count swap by group. The default of none is then worth a warning if there is any swap at all; a
/// figure that somebody chose is an error.
fn swap_uncounted(group: &Group, swap: Option<u64>, warnings: &mut Vec<String>) -> Result<(), Error> {
    match swap {
        None | Some(u64::MAX) => Ok(()),
        Some(0) => {
            if host_has_swap() {
                // Not a limit, but the nearest thing: anonymous memory of the group is swapped out last.
                let softened = group.try_write("memory.swappiness", "0").is_ok();
                warnings.push(format!(
                    "swap is not limited{}: this kernel does not count swap by cgroup; boot with swapaccount=1, or \
                     turn swap off",
                    if softened { " (memory.swappiness is 0 instead)" } else { "" }
                ));
            }
            Ok(())
        }
        Some(_) => Err(Error::new(
            ErrorClass::Unsupported,
            "swap cannot be limited: this kernel does not count swap by cgroup; boot with swapaccount=1 or leave \
             --memory-swap out",
        )),
    }
}

fn host_has_swap() -> bool {
    std::fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1)
}

fn cpu_v1(group: &Group, limits: &Limits) -> Result<(), Error> {
    if let Some(shares) = limits.cpu_shares {
        group.write("cpu.shares", &shares.to_string())?;
    }
    let quota = limits.cpu_quota.map(v1_bytes);
    let Some(period) = limits.cpu_period else {
        return quota.map_or(Ok(()), |quota| group.write("cpu.cfs_quota_us", &quota));
    };
    // Either order can be refused on a running group, since the ratio must hold after each write.
    match (group.try_write("cpu.cfs_period_us", &period.to_string()), quota) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(quota)) => group.write("cpu.cfs_quota_us", &quota),
        (Err(Errno::INVAL), Some(quota)) => {
            group.write("cpu.cfs_quota_us", &quota)?;
            group.write("cpu.cfs_period_us", &period.to_string())
        }
        (Err(_), _) => group.write("cpu.cfs_period_us", &period.to_string()),
    }
}

fn cpu_v2(group: &Group, limits: &Limits) -> Result<(), Error> {
    if let Some(shares) = limits.cpu_shares {
        // 2 to 262144 onto 1 to 10000, as every runtime does it.
        let weight = 1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142;
        group.write("cpu.weight", &weight.to_string())?;
    }
    if limits.cpu_quota.is_none() && limits.cpu_period.is_none() {
        return Ok(());
    }
    let old = group.read("cpu.max")?;
    let mut old = old.split_whitespace();
    let old_quota = old.next().and_then(parse_number).unwrap_or(u64::MAX);
    let old_period = old.next().and_then(parse_number).unwrap_or(100_000);
    let quota = limits.cpu_quota.unwrap_or(old_quota);
    group.write("cpu.max", &format!("{} {}", or_max(quota), limits.cpu_period.unwrap_or(old_period)))
}

fn block(branch: &Branch, limits: &Limits) -> Result<(), Error> {
    let group = &branch.group;
    if let Some(weight) = limits.blkio_weight {
        // 10 to 1000 onto 1 to 10000 for the file that takes that range.
        let wide = 1 + (u32::from(weight.clamp(10, 1000)) - 10) * 9_999 / 990;
        let narrow = u32::from(weight);
        let candidates: &[(&str, u32)] = if branch.v2 {
            &[("io.bfq.weight", narrow), ("io.weight", wide)]
        } else {
            &[("blkio.weight", narrow), ("blkio.bfq.weight", narrow)]
        };
        let Some((file, value)) = candidates.iter().find(|(file, _)| group.exists(file)) else {
            return Err(Error::new(
                ErrorClass::Unsupported,
                "disk weight cannot be set: this kernel has no weighing io scheduler; load bfq (modprobe bfq) or leave \
                 --blkio-weight out",
            ));
        };
        group.write(file, &value.to_string())?;
    }
    for &(major, minor, kind, rate) in &limits.throttle {
        if branch.v2 {
            let key = match kind {
                Throttle::ReadBps => "rbps",
                Throttle::WriteBps => "wbps",
                Throttle::ReadIops => "riops",
                Throttle::WriteIops => "wiops",
            };
            group.write("io.max", &format!("{major}:{minor} {key}={}", or_max(rate)))?;
        } else {
            let file = match kind {
                Throttle::ReadBps => "blkio.throttle.read_bps_device",
                Throttle::WriteBps => "blkio.throttle.write_bps_device",
                Throttle::ReadIops => "blkio.throttle.read_iops_device",
                Throttle::WriteIops => "blkio.throttle.write_iops_device",
            };
            group.write(file, &format!("{major}:{minor} {}", if rate == u64::MAX { 0 } else { rate }))?;
        }
    }
    Ok(())
}
