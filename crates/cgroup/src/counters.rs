//! Reading counters. A missing controller leaves its counters at zero, and its limits at "none".

use crate::file::{Group, find_key};
use crate::layout::Controller;
use crate::model::Counters;
use crate::{Branch, Cgroup};

pub(crate) fn read(cgroup: &Cgroup) -> Counters {
    let mut counters = Counters { memory_limit: u64::MAX, pids_limit: u64::MAX, ..Counters::default() };
    let of = |controller| cgroup.branch(controller);
    match of(Controller::Cpuacct) {
        Some(Branch { group, v2: false, .. }) => cpu_v1(group, &mut counters),
        // Version 2 counts processor time in every group.
        _ => {
            if let Some(branch) = cgroup.branches.iter().find(|branch| branch.v2) {
                cpu_v2(&branch.group, &mut counters);
            }
        }
    }
    if let Some(branch) = of(Controller::Cpu) {
        counters.cpu_throttled_periods = branch.group.keyed("cpu.stat", "nr_throttled").unwrap_or(0);
    }
    if let Some(branch) = of(Controller::Memory) {
        memory(branch, &mut counters);
    }
    if let Some(Branch { group, .. }) = of(Controller::Pids) {
        counters.pids = group.number("pids.current").unwrap_or(0);
        counters.pids_limit = group.number("pids.max").unwrap_or(u64::MAX);
        counters.pids_refused = group.keyed("pids.events", "max").unwrap_or(0);
    }
    if let Some(branch) = of(Controller::Blkio) {
        (counters.block_read, counters.block_write) = block(branch);
    }
    counters
}

/// What an end is explained by, at a fraction of the price of all counters: kills and refusals, and the limits that
/// caused them if there were any. The rest stays zero.
pub(crate) fn read_hits(cgroup: &Cgroup) -> Counters {
    let mut counters = Counters { memory_limit: u64::MAX, pids_limit: u64::MAX, ..Counters::default() };
    if let Some(branch) = cgroup.branch(Controller::Memory) {
        counters.oom_kills = oom_kills(branch);
        if counters.oom_kills > 0 {
            let file = if branch.v2 { "memory.max" } else { "memory.limit_in_bytes" };
            counters.memory_limit = branch.group.number(file).unwrap_or(u64::MAX);
        }
    }
    if let Some(Branch { group, .. }) = cgroup.branch(Controller::Pids) {
        counters.pids_refused = group.keyed("pids.events", "max").unwrap_or(0);
        if counters.pids_refused > 0 {
            counters.pids_limit = group.number("pids.max").unwrap_or(u64::MAX);
        }
    }
    counters
}

fn cpu_v1(group: &Group, counters: &mut Counters) {
    counters.cpu_total = group.number("cpuacct.usage").unwrap_or(0);
    counters.cpu_user = group.number("cpuacct.usage_user").unwrap_or(0);
    counters.cpu_system = group.number("cpuacct.usage_sys").unwrap_or(0);
}

fn cpu_v2(group: &Group, counters: &mut Counters) {
    let Some(text) = group.text("cpu.stat") else { return };
    let nanoseconds = |key| find_key(&text, key).unwrap_or(0).saturating_mul(1000);
    counters.cpu_total = nanoseconds("usage_usec");
    counters.cpu_user = nanoseconds("user_usec");
    counters.cpu_system = nanoseconds("system_usec");
}

fn memory(branch: &Branch, counters: &mut Counters) {
    let group = &branch.group;
    let (usage, peak, limit, inactive) = if branch.v2 {
        ("memory.current", "memory.peak", "memory.max", "inactive_file")
    } else {
        ("memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file")
    };
    // Page cache that nobody has used lately is given back on demand: Docker does not count it either.
    let droppable = group.keyed("memory.stat", inactive).unwrap_or(0);
    counters.memory_usage = group.number(usage).unwrap_or(0).saturating_sub(droppable);
    counters.memory_peak = group.number(peak).unwrap_or(0);
    counters.memory_limit = group.number(limit).unwrap_or(u64::MAX);
    counters.oom_kills = oom_kills(branch);
}

/// Times that the kernel killed in this group for lack of memory.
pub(crate) fn oom_kills(branch: &Branch) -> u64 {
    let file = if branch.v2 { "memory.events" } else { "memory.oom_control" };
    branch.group.keyed(file, "oom_kill").unwrap_or(0)
}

fn block(branch: &Branch) -> (u64, u64) {
    if branch.v2 {
        return branch.group.text("io.stat").map_or((0, 0), |text| io_stat(&text));
    }
    let files = ["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"];
    files.iter().find_map(|file| branch.group.text(file)).map_or((0, 0), |text| service_bytes(&text))
}

/// `8:0 rbytes=1 wbytes=2 rios=…` per device.
fn io_stat(text: &str) -> (u64, u64) {
    let sum = |key: &str| {
        text.split_whitespace()
            .filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok())
            .fold(0u64, u64::saturating_add)
    };
    (sum("rbytes="), sum("wbytes="))
}

/// `8:0 Read 1` per device and kind.
fn service_bytes(text: &str) -> (u64, u64) {
    let sum = |kind: &str| {
        text.lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let (_, word, number) = (words.next()?, words.next()?, words.next()?);
                (word == kind).then(|| number.parse::<u64>().ok())?
            })
            .fold(0u64, u64::saturating_add)
    };
    (sum("Read"), sum("Write"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_counters_of_both_versions() {
        assert_eq!(io_stat("8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2 rios=1 dbytes=7\n"), (11, 22));
        let v1 = "254:0 Read 100\n254:0 Write 7\n254:0 Sync 1\n8:0 Read 1\nTotal 108\n";
        assert_eq!(service_bytes(v1), (101, 7));
        assert_eq!(service_bytes(""), (0, 0));
    }
}
