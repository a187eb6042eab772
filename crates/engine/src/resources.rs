//! `--memory`, `--cpus`, `--ulimit` and their like: Docker's units and rules become limits of the plan.

use std::os::linux::fs::MetadataExt as _;

use bulkhead_plan::{Limits, Rlimit, Throttle, ThrottleKind};
use bulkhead_types::ByteSize;

use crate::host;
use crate::model::{Error, Result};
use crate::request::{CreateRequest, UpdateRequest};

/// Docker's least amount of memory for a container.
const LEAST_MEMORY: u64 = 6 << 20;

/// Names of `--ulimit`.
const ULIMITS: &[&str] = &[
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

/// The limits that a new container asks for; what it does not ask for is the plan's to decide.
///
/// # Errors
/// In Docker's words.
pub(crate) fn limits(request: &CreateRequest) -> Result<Limits> {
    let asked = UpdateRequest {
        memory: request.memory,
        memory_swap: request.memory_swap,
        memory_reservation: request.memory_reservation,
        nano_cpus: request.nano_cpus,
        cpu_quota: request.cpu_quota,
        cpu_period: request.cpu_period,
        cpu_shares: request.cpu_shares,
        cpuset_cpus: request.cpuset_cpus.clone(),
        cpuset_mems: request.cpuset_mems.clone(),
        pids_limit: request.pids_limit,
        blkio_weight: request.blkio_weight,
        restart: None,
    };
    let mut limits = changed(&Limits::default(), &asked)?;
    let throttles = [
        (&request.device_read_bps, ThrottleKind::ReadBps),
        (&request.device_write_bps, ThrottleKind::WriteBps),
        (&request.device_read_iops, ThrottleKind::ReadIops),
        (&request.device_write_iops, ThrottleKind::WriteIops),
    ];
    for (raw, kind) in throttles {
        for text in raw {
            limits.throttle.push(throttle(text, kind)?);
        }
    }
    Ok(limits)
}

/// Limits after an `update`.
///
/// # Errors
/// In Docker's words.
pub(crate) fn changed(before: &Limits, asked: &UpdateRequest) -> Result<Limits> {
    let mut limits = before.clone();
    memory(&mut limits, asked)?;
    processor(&mut limits, asked)?;
    if let Some(pids) = asked.pids_limit {
        limits.pids = match pids {
            i64::MIN..=0 => Some(u64::MAX),
            pids => Some(pids.unsigned_abs()),
        };
    }
    if let Some(weight) = asked.blkio_weight.filter(|weight| *weight != 0) {
        if !(10..=1000).contains(&weight) {
            return Err(Error::invalid("Range of blkio weight is from 10 to 1000"));
        }
        limits.blkio_weight = Some(weight);
    }
    Ok(limits)
}

fn memory(limits: &mut Limits, asked: &UpdateRequest) -> Result<()> {
    if let Some(bytes) = asked.memory {
        if bytes != 0 && bytes < LEAST_MEMORY {
            return Err(Error::invalid("Minimum memory limit allowed is 6MB"));
        }
        limits.memory = Some(bytes);
    }
    let bounded = limits.memory.filter(|bytes| *bytes != 0);
    match asked.memory_swap {
        None | Some(0) => {}
        Some(-1) => limits.swap = Some(u64::MAX),
        Some(total) if total < 0 => {
            return Err(Error::invalid(format!("invalid memory swap limit {total}: -1 means unlimited")));
        }
        Some(total) => {
            let Some(memory) = bounded else {
                return Err(Error::invalid(
                    "You should always set the Memory limit when using Memoryswap limit, see usage",
                ));
            };
            limits.swap = Some(total.unsigned_abs().checked_sub(memory).ok_or_else(|| {
                Error::invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
            })?);
        }
    }
    if let Some(bytes) = asked.memory_reservation.filter(|bytes| *bytes != 0) {
        if bytes < LEAST_MEMORY {
            return Err(Error::invalid("Minimum memory reservation allowed is 6MB"));
        }
        if bounded.is_some_and(|memory| memory < bytes) {
            return Err(Error::invalid(
                "Minimum memory limit can not be less than memory reservation limit, see usage",
            ));
        }
        limits.memory_reservation = Some(bytes);
    }
    Ok(())
}

fn processor(limits: &mut Limits, asked: &UpdateRequest) -> Result<()> {
    let nano = asked.nano_cpus.filter(|nano| *nano != 0);
    let (quota, period) = (asked.cpu_quota.filter(|q| *q != 0), asked.cpu_period.filter(|p| *p != 0));
    if let Some(nano) = nano {
        if quota.is_some() || period.is_some() {
            return Err(Error::invalid("Conflicting options: Nano CPUs and CPU Period/Quota cannot both be set"));
        }
        let most = host::processors();
        if nano < 10_000_000 || nano > most * 1_000_000_000 {
            return Err(Error::invalid(format!(
                "range of CPUs is from 0.01 to {most}.00, as there are only {most} CPUs available"
            )));
        }
        limits.cpu_period = Some(100_000);
        limits.cpu_quota = Some(nano / 10_000);
    }
    if let Some(period) = period {
        if !(1_000..=1_000_000).contains(&period) {
            return Err(Error::invalid(
                "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
            ));
        }
        limits.cpu_period = Some(period);
    }
    if let Some(quota) = quota {
        if quota < 1_000 {
            return Err(Error::invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
        }
        limits.cpu_quota = Some(quota);
    }
    if let Some(shares) = asked.cpu_shares.filter(|shares| *shares != 0) {
        limits.cpu_shares = Some(shares.clamp(2, 262_144));
    }
    for (text, place, option) in [
        (&asked.cpuset_cpus, &mut limits.cpuset_cpus, "cpuset cpus"),
        (&asked.cpuset_mems, &mut limits.cpuset_mems, "cpuset mems"),
    ] {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            if !is_list(text) {
                return Err(Error::invalid(format!("invalid value '{text}' for {option}")));
            }
            *place = Some(text.clone());
        }
    }
    Ok(())
}

/// `0-3,5`
fn is_list(text: &str) -> bool {
    text.split(',').all(|part| match part.split_once('-') {
        Some((first, last)) => {
            matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(first), Ok(last)) if first <= last)
        }
        None => part.parse::<u16>().is_ok(),
    })
}

/// `PATH:RATE`.
fn throttle(text: &str, kind: ThrottleKind) -> Result<Throttle> {
    let in_bytes = matches!(kind, ThrottleKind::ReadBps | ThrottleKind::WriteBps);
    let form = if in_bytes {
        "invalid rate for device: the correct format is <device-path>:<number>[<unit>]. Number must be a positive \
         integer. Unit is optional and can be kb, mb, or gb"
    } else {
        "invalid rate for device: the correct format is <device-path>:<number>. Number must be a positive integer"
    };
    let (path, rate) = text.rsplit_once(':').ok_or_else(|| Error::invalid(format!("bad format: {text}")))?;
    if !path.starts_with("/dev/") {
        return Err(Error::invalid(format!("bad format for device path: {path}")));
    }
    let rate = if in_bytes { rate.parse::<ByteSize>().ok().map(|size| size.0) } else { rate.parse().ok() };
    let rate = rate.filter(|rate| *rate > 0).ok_or_else(|| Error::invalid(form))?;
    let device = std::fs::metadata(path).map_err(|error| Error::invalid(format!("{path}: {error}")))?.st_rdev();
    Ok(Throttle { major: rustix::fs::major(device), minor: rustix::fs::minor(device), kind, rate })
}

/// `--ulimit name=soft[:hard]`; -1 is unlimited.
///
/// # Errors
/// In Docker's words.
pub(crate) fn ulimit(text: &str) -> Result<Rlimit> {
    let malformed = || Error::invalid(format!("invalid ulimit argument: {text}"));
    let (name, values) = text.split_once('=').ok_or_else(malformed)?;
    if !ULIMITS.contains(&name) {
        return Err(Error::invalid(format!("invalid ulimit type: {name}")));
    }
    let (soft, hard) = values.split_once(':').map_or((values, None), |(soft, hard)| (soft, Some(hard)));
    let value = |text: &str| match text.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(number) if number >= 0 => Ok(Some(number.unsigned_abs())),
        _ => Err(malformed()),
    };
    let soft = value(soft)?;
    let hard = hard.map_or(Ok(soft), value)?;
    if let Some(most) = hard
        && soft.is_none_or(|soft| soft > most)
    {
        let soft = soft.map_or_else(|| "-1".into(), |soft| soft.to_string());
        return Err(Error::invalid(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {most}"
        )));
    }
    Ok(Rlimit { name: name.to_owned(), soft, hard })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(change: impl FnOnce(&mut UpdateRequest)) -> Result<Limits> {
        let mut request = UpdateRequest::default();
        change(&mut request);
        changed(&Limits::default(), &request)
    }

    #[test]
    fn memory_and_swap_follow_docker() {
        let limits = asked(|r| (r.memory, r.memory_swap) = (Some(64 << 20), Some(96 << 20))).unwrap();
        assert_eq!((limits.memory, limits.swap), (Some(64 << 20), Some(32 << 20)));
        assert_eq!(asked(|r| r.memory = Some(64 << 20)).unwrap().swap, None);
        assert_eq!(asked(|r| r.memory_swap = Some(-1)).unwrap().swap, Some(u64::MAX));
        assert_eq!(asked(|r| r.memory = Some(0)).unwrap().memory, Some(0));
        let text = |change: fn(&mut UpdateRequest)| asked(change).unwrap_err().message;
        assert_eq!(text(|r| r.memory = Some(1024)), "Minimum memory limit allowed is 6MB");
        assert!(text(|r| r.memory_swap = Some(1 << 30)).starts_with("You should always set the Memory limit"));
        assert!(
            text(|r| (r.memory, r.memory_swap) = (Some(64 << 20), Some(32 << 20))).starts_with("Minimum memoryswap")
        );
        assert!(text(|r| (r.memory, r.memory_reservation) = (Some(64 << 20), Some(65 << 20))).contains("reservation"));
    }

    #[test]
    fn processors() {
        let limits = asked(|r| r.nano_cpus = Some(500_000_000)).unwrap();
        assert_eq!((limits.cpu_quota, limits.cpu_period), (Some(50_000), Some(100_000)));
        assert!(asked(|r| r.nano_cpus = Some(u64::from(u32::MAX) * 1_000_000_000)).is_err());
        assert!(asked(|r| (r.nano_cpus, r.cpu_quota) = (Some(500_000_000), Some(5000))).is_err());
        assert!(asked(|r| r.cpuset_cpus = Some("0-3,5".into())).is_ok());
        for bad in ["a", "3-1", "1,", "-"] {
            assert!(asked(|r| r.cpuset_cpus = Some(bad.into())).is_err(), "{bad}");
        }
        assert_eq!(asked(|r| r.pids_limit = Some(-1)).unwrap().pids, Some(u64::MAX));
        assert!(asked(|r| r.blkio_weight = Some(5)).is_err());
    }

    #[test]
    fn ulimits() {
        assert_eq!(
            ulimit("nofile=1024:2048").unwrap(),
            Rlimit { name: "nofile".into(), soft: Some(1024), hard: Some(2048) }
        );
        assert_eq!(ulimit("memlock=-1").unwrap(), Rlimit { name: "memlock".into(), soft: None, hard: None });
        for (bad, text) in [
            ("nofile", "invalid ulimit argument: nofile"),
            ("foo=1", "invalid ulimit type: foo"),
            ("nofile=a", "invalid ulimit argument: nofile=a"),
            ("nofile=2:1", "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
            ("nofile=-1:1", "ulimit soft limit must be less than or equal to hard limit: -1 > 1"),
        ] {
            assert_eq!(ulimit(bad).unwrap_err().message, text);
        }
    }

    #[test]
    fn throttles_name_a_device() {
        assert_eq!(throttle("sda", ThrottleKind::ReadBps).unwrap_err().message, "bad format: sda");
        assert!(throttle("/etc:1mb", ThrottleKind::ReadBps).unwrap_err().message.contains("device path"));
        assert!(throttle("/dev/null:0", ThrottleKind::ReadIops).is_err());
        let null = throttle("/dev/null:1mb", ThrottleKind::WriteBps).unwrap();
        assert_eq!((null.major, null.minor, null.rate), (1, 3, 1 << 20));
    }
}
