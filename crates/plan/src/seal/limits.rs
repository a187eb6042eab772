//! Limits on by default (walls.md measure 17, S04). Each can be turned off by name, which is a concession.

use super::{PlanError, Wishes};
use crate::concession::Concession;
use crate::model::{Limits, Rlimit};

/// What a container gets of memory if the host's is unknown: 2 GiB.
const MEMORY_UNKNOWN: u64 = 2 << 30;
/// Docker's lower bound: 6 MiB, below which no process starts.
const MEMORY_LEAST: u64 = 6 << 20;
/// Tasks. PostgreSQL and redis need tens, a JVM on a large machine or `make -j` hundreds; a fork bomb ends here.
const PIDS: u64 = 4096;
/// Open files of one process.
const OPEN_FILES: u64 = 1 << 20;
/// Open files if the host's hard limit is unknown: what every Linux grants.
const OPEN_FILES_UNKNOWN: u64 = 1024;

pub(super) fn choose(wishes: &Wishes, conceded: &mut Vec<Concession>) -> Result<Limits, PlanError> {
    let asked = &wishes.limits;
    check(asked)?;
    let mut limits = Limits { oom_group: true, ..asked.clone() };
    limits.memory = match asked.memory {
        None => Some(default_memory(wishes.host.memory)),
        Some(0 | u64::MAX) => None,
        Some(bytes) if bytes < MEMORY_LEAST => {
            return Err(PlanError::invalid(format!(
                "--memory {bytes} is too small: the least is {MEMORY_LEAST} bytes (6m)"
            )));
        }
        Some(bytes) => Some(bytes),
    };
    limits.swap = match (limits.memory, asked.swap) {
        // Swap alone cannot be bounded where memory is not (version 1 counts both together).
        (None, None | Some(u64::MAX)) | (Some(_), Some(u64::MAX)) => None,
        (None, Some(_)) => {
            return Err(PlanError::invalid("--memory-swap needs a bound on memory: give --memory as well"));
        }
        (Some(_), None) => Some(0),
        (Some(_), Some(bytes)) => Some(bytes),
    };
    if let (Some(reservation), Some(memory)) = (asked.memory_reservation, limits.memory)
        && reservation > memory
    {
        return Err(PlanError::invalid(format!(
            "--memory-reservation {reservation} is above the limit of {memory} bytes: lower it or raise --memory"
        )));
    }
    limits.pids = match asked.pids {
        None => Some(PIDS),
        Some(0 | u64::MAX) => None,
        some => some,
    };
    let off = [("memory", limits.memory.is_none()), ("swap", limits.swap.is_none()), ("pids", limits.pids.is_none())];
    conceded.extend(off.iter().filter(|(_, off)| *off).map(|(name, _)| Concession::NoLimit((*name).to_owned())));
    Ok(limits)
}

/// Half of the host's memory: one container alone never starves the host.
fn default_memory(host: u64) -> u64 {
    if host == 0 { MEMORY_UNKNOWN } else { (host / 2).max(MEMORY_LEAST) }
}

fn check(limits: &Limits) -> Result<(), PlanError> {
    let outside =
        |value: Option<u64>, least: u64, most: u64| value.is_some_and(|value| !(least..=most).contains(&value));
    if outside(limits.cpu_shares, 2, 262_144) {
        return Err(PlanError::invalid("--cpu-shares must be 2 to 262144 (1024 is what everyone has)"));
    }
    if outside(limits.cpu_period, 1_000, 1_000_000) {
        return Err(PlanError::invalid("--cpu-period must be 1000 to 1000000 microseconds"));
    }
    if outside(limits.cpu_quota, 1_000, u64::MAX) {
        return Err(PlanError::invalid("--cpu-quota (or --cpus) must be at least 1000 microseconds (0.01 processors)"));
    }
    if outside(limits.blkio_weight.map(u64::from), 10, 1000) {
        return Err(PlanError::invalid("--blkio-weight must be 10 to 1000"));
    }
    let list = |text: &String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b",-".contains(&b));
    let lists = [("--cpuset-cpus", &limits.cpuset_cpus), ("--cpuset-mems", &limits.cpuset_mems)];
    match lists.iter().find(|(_, text)| text.as_ref().is_some_and(|text| !list(text))) {
        Some((flag, text)) => Err(PlanError::invalid(format!(
            "{flag} {:?} is no list of numbers such as 0-3,5",
            text.as_deref().unwrap_or_default()
        ))),
        None => Ok(()),
    }
}

/// Names of `setrlimit(2)` as Docker has them.
const NAMES: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

pub(super) fn rlimits(wishes: &Wishes, conceded: &mut Vec<Concession>) -> Result<Vec<Rlimit>, PlanError> {
    let mut rlimits = Vec::new();
    for asked in &wishes.process.rlimits {
        let name = asked.name.to_ascii_lowercase();
        if !NAMES.contains(&name.as_str()) {
            return Err(PlanError::invalid(format!("--ulimit {name}: not one of {}", NAMES.join(", "))));
        }
        let (soft, hard) = (asked.soft.unwrap_or(u64::MAX), asked.hard.unwrap_or(u64::MAX));
        if soft > hard {
            return Err(PlanError::invalid(format!(
                "--ulimit {name}: the soft limit {soft} is above the hard limit {hard}"
            )));
        }
        if name == "core" && hard > 0 {
            conceded.push(Concession::CoreDumps);
        }
        if name == "nofile" && hard == u64::MAX {
            conceded.push(Concession::NoLimit("nofile".to_owned()));
        }
        if rlimits.iter().any(|other: &Rlimit| other.name == name) {
            return Err(PlanError::invalid(format!("--ulimit {name} is given twice: keep one")));
        }
        rlimits.push(Rlimit { name, ..asked.clone() });
    }
    let files = match wishes.host.open_files {
        0 => OPEN_FILES_UNKNOWN,
        most => OPEN_FILES.min(most),
    };
    for (name, value) in [("core", 0), ("nofile", files)] {
        if !rlimits.iter().any(|rlimit| rlimit.name == name) {
            rlimits.push(Rlimit { name: name.to_owned(), soft: Some(value), hard: Some(value) });
        }
    }
    Ok(rlimits)
}
