//! Counters and process lists.

use bulkhead_cell::Cell;
use bulkhead_plan::control::Stats;

use crate::failure::Failure;

/// More than any host's number of interfaces needs.
const LONGEST_NET_DEV: u64 = 1 << 20;

/// Which limits were hit; `None` without a cgroup.
pub(crate) fn hits(cell: &Cell) -> Option<Stats> {
    let hits = cell.group()?.hits();
    Some(Stats {
        memory_limit: hits.memory_limit,
        pids_limit: hits.pids_limit,
        oom_kills: hits.oom_kills,
        pids_refused: hits.pids_refused,
        ..Stats::default()
    })
}

/// Counters as of now; `None` without a cgroup.
pub(crate) fn read(cell: &Cell, pid: u32) -> Option<Stats> {
    let counters = cell.group()?.counters().ok()?;
    let (net_rx, net_tx) = read_net(pid);
    Some(Stats {
        cpu_total: counters.cpu_total,
        cpu_user: counters.cpu_user,
        cpu_system: counters.cpu_system,
        cpu_throttled_periods: counters.cpu_throttled_periods,
        memory_usage: counters.memory_usage,
        memory_peak: counters.memory_peak,
        memory_limit: counters.memory_limit,
        pids: counters.pids,
        pids_limit: counters.pids_limit,
        block_read: counters.block_read,
        block_write: counters.block_write,
        net_rx,
        net_tx,
        oom_kills: counters.oom_kills,
        pids_refused: counters.pids_refused,
    })
}

fn read_net(pid: u32) -> (u64, u64) {
    use std::io::Read as _;
    let mut text = String::new();
    let read = std::fs::File::open(format!("/proc/{pid}/net/dev"))
        .and_then(|file| file.take(LONGEST_NET_DEV).read_to_string(&mut text));
    if read.is_ok() { net_dev(&text) } else { (0, 0) }
}

/// Bytes received and sent over all interfaces but loopback, from `/proc/PID/net/dev`.
fn net_dev(text: &str) -> (u64, u64) {
    let mut sums = (0u64, 0u64);
    for line in text.lines() {
        let Some((name, numbers)) = line.split_once(':') else { continue };
        if name.trim() == "lo" {
            continue;
        }
        let mut numbers = numbers.split_whitespace().map(|word| word.parse::<u64>().unwrap_or(0));
        sums.0 = sums.0.saturating_add(numbers.next().unwrap_or(0));
        sums.1 = sums.1.saturating_add(numbers.nth(7).unwrap_or(0));
    }
    sums
}

/// Host pids of all processes: of the cgroup or, without one, of the pid namespace.
pub(crate) fn processes(cell: &Cell, pid: u32) -> Result<Vec<u32>, Failure> {
    match cell.group() {
        Some(group) => group.processes().map_err(|error| Failure::new(error.class, error.message)),
        None => same_namespace(pid),
    }
}

fn same_namespace(pid: u32) -> Result<Vec<u32>, Failure> {
    let fail = |error: std::io::Error| Failure::internal(format!("processes cannot be listed: {error}"));
    let namespace = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/pid"));
    let wanted = namespace(pid).map_err(fail)?;
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc").map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok())
            && namespace(pid).is_ok_and(|found| found == wanted)
        {
            pids.push(pid);
        }
    }
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_does_not_count() {
        let text = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0
  eth0: 100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0
  eth1:5 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0
";
        assert_eq!(net_dev(text), (105, 207));
        assert_eq!(net_dev("nonsense"), (0, 0));
    }

    #[test]
    fn our_own_namespace_has_us() {
        let own = std::process::id();
        assert!(same_namespace(own).unwrap().contains(&own));
    }
}
