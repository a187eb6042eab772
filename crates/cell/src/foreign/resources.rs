//! What a foreign caller asks its cgroup for, in the cgroup room's terms.

use bulkhead_cgroup::{Cgroup, DeviceRule, Limits, Throttle};
use bulkhead_plan::foreign::{BlockRate, DeviceWish, ForeignDevice, Resources};
use bulkhead_plan::opened::standard_devices;
use bulkhead_types::ErrorClass;

use crate::failure::StepFailed;

/// A translated wish.
#[derive(Debug, Default)]
pub struct Wanted {
    /// What both versions know.
    pub limits: Limits,
    /// Everything that may be used.
    pub devices: Vec<DeviceRule>,
}

/// Character devices that every container may use besides its nodes: the terminals of its own devpts.
const TERMINALS: [(u32, Option<u32>); 3] = [(5, Some(1)), (5, Some(2)), (136, None)];

/// Translates.
///
/// # Errors
/// Names the field that cannot be honoured.
pub fn translate(wanted: &Resources, nodes: &[ForeignDevice]) -> Result<Wanted, StepFailed> {
    Ok(Wanted { limits: limits(wanted)?, devices: devices(wanted.devices.as_deref().unwrap_or_default(), nodes)? })
}

impl Wanted {
    /// What only one version knows, or nobody but a foreign caller asks for.
    ///
    /// # Errors
    /// Names the field that cannot be honoured.
    pub fn finish(&self, group: &Cgroup) -> Result<(), StepFailed> {
        match group.warnings().first() {
            Some(warning) => Err(refused("memory", warning)),
            None => Ok(()),
        }
    }
}

fn refused(field: &str, why: &str) -> StepFailed {
    StepFailed::new("cgroup", ErrorClass::Unsupported, format!("linux.resources.{field}: {why}"))
}

/// The limits that both versions know.
///
/// # Errors
/// Names the field that cannot be honoured.
pub fn limits(wanted: &Resources) -> Result<Limits, StepFailed> {
    let mut limits = Limits::default();
    // Below 0 is unlimited; 0 is what callers write who mean nothing.
    let bytes =
        |value: Option<i64>| value.filter(|value| *value != 0).map(|value| u64::try_from(value).unwrap_or(u64::MAX));
    if let Some(memory) = &wanted.memory {
        limits.memory = bytes(memory.limit);
        limits.memory_reservation = bytes(memory.reservation);
        limits.swap = match (bytes(memory.swap), limits.memory) {
            (None, _) => None,
            (Some(u64::MAX), _) => Some(u64::MAX),
            (Some(both), Some(memory)) if memory != u64::MAX && both >= memory => Some(both - memory),
            _ => {
                return Err(refused(
                    "memory.swap",
                    "it counts memory and swap together, so it needs a memory.limit \
                                                    that is not above it",
                ));
            }
        };
    }
    if let Some(cpu) = &wanted.cpu {
        limits.cpu_shares = cpu.shares.filter(|shares| *shares != 0);
        limits.cpu_quota = bytes(cpu.quota);
        limits.cpu_period = cpu.period.filter(|period| *period != 0);
        limits.cpuset_cpus = cpu.cpus.clone().filter(|list| !list.is_empty());
        limits.cpuset_mems = cpu.mems.clone().filter(|list| !list.is_empty());
    }
    limits.pids = bytes(wanted.pids);
    if let Some(block) = &wanted.block {
        limits.blkio_weight = block.weight.filter(|weight| *weight != 0);
        let lists = [
            (&block.read_bps, Throttle::ReadBps),
            (&block.write_bps, Throttle::WriteBps),
            (&block.read_iops, Throttle::ReadIops),
            (&block.write_iops, Throttle::WriteIops),
        ];
        for (list, kind) in lists {
            for BlockRate { major, minor, rate } in list.iter().flatten() {
                let number = |number: i64| u32::try_from(number);
                let (Ok(major), Ok(minor)) = (number(*major), number(*minor)) else {
                    return Err(refused("blockIO", "a device number is out of range"));
                };
                limits.throttle.push((major, minor, kind, *rate));
            }
        }
    }
    Ok(limits)
}

/// The rules in their order, a later one winning, as a list of what is allowed; and what every container has.
///
/// # Errors
/// A denial in the middle of something wider that was allowed before cannot be put into such a list.
fn devices(rules: &[DeviceWish], nodes: &[ForeignDevice]) -> Result<Vec<DeviceRule>, StepFailed> {
    let mut allowed: Vec<DeviceRule> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let field = format!("devices[{index}]");
        let number = |number: Option<i64>| match number {
            None | Some(-1) => Ok(None),
            Some(number) => u32::try_from(number).map(Some).map_err(|_| refused(&field, "a number is out of range")),
        };
        let kinds: &[char] = match rule.kind.unwrap_or('a') {
            'a' => &['c', 'b'],
            'b' => &['b'],
            'c' | 'u' => &['c'],
            _ => return Err(refused(&field, "the type is a, b or c")),
        };
        let access = rule.access.clone().filter(|access| !access.is_empty()).unwrap_or_else(|| "rwm".to_owned());
        for kind in kinds {
            let one = DeviceRule {
                kind: *kind,
                major: number(rule.major)?,
                minor: number(rule.minor)?,
                access: access.clone(),
            };
            match rule.allow {
                true => allowed.push(one),
                false => deny(&mut allowed, &one).map_err(|why| refused(&field, why))?,
            }
        }
    }
    let always = |kind: char, major: u32, minor: Option<u32>| DeviceRule {
        kind,
        major: Some(major),
        minor,
        access: "rwm".to_owned(),
    };
    allowed.extend(standard_devices().iter().map(|one| always('c', one.major, Some(one.minor))));
    allowed.extend(TERMINALS.map(|(major, minor)| always('c', major, minor)));
    // Making a node is not using it.
    allowed.extend(['c', 'b'].map(|kind| DeviceRule { kind, major: None, minor: None, access: "m".to_owned() }));
    let _ = nodes;
    Ok(allowed)
}

/// Takes rights away from what is allowed so far.
fn deny(allowed: &mut Vec<DeviceRule>, denied: &DeviceRule) -> Result<(), &'static str> {
    let inside = |outer: Option<u32>, inner: Option<u32>| outer.is_none() || outer == inner;
    let mut kept = Vec::new();
    for rule in allowed.drain(..) {
        let covered = inside(denied.major, rule.major) && inside(denied.minor, rule.minor);
        let touches = inside(rule.major, denied.major) && inside(rule.minor, denied.minor);
        if rule.kind != denied.kind || !covered && !touches {
            kept.push(rule);
        } else if covered {
            let access: String = rule.access.chars().filter(|letter| !denied.access.contains(*letter)).collect();
            if !access.is_empty() {
                kept.push(DeviceRule { access, ..rule });
            }
        } else {
            return Err("it denies a part of what an earlier rule allows; list what is allowed instead");
        }
    }
    *allowed = kept;
    Ok(())
}

#[cfg(test)]
mod tests {
    use bulkhead_plan::foreign::MemoryWish;

    use super::*;

    fn wish(allow: bool, kind: char, major: Option<i64>, minor: Option<i64>, access: &str) -> DeviceWish {
        DeviceWish { allow, kind: Some(kind), major, minor, access: Some(access.to_owned()) }
    }

    #[test]
    fn later_device_rules_win() {
        let own = |rules: &[DeviceWish]| {
            let all = devices(rules, &[]).unwrap();
            let standard = devices(&[], &[]).unwrap().len();
            all.into_iter()
                .rev()
                .skip(standard)
                .rev()
                .map(|rule| (rule.kind, rule.major, rule.access))
                .collect::<Vec<_>>()
        };
        let rules = [
            wish(true, 'c', Some(7), Some(1), "rwm"),
            wish(false, 'a', None, None, "rwm"),
            wish(true, 'c', Some(10), Some(200), "rwm"),
            wish(false, 'c', Some(10), Some(200), "m"),
        ];
        assert_eq!(own(&rules), [('c', Some(10), "rw".to_owned())]);
        let narrow = [wish(true, 'a', None, None, "rwm"), wish(false, 'c', Some(1), Some(1), "r")];
        assert!(devices(&narrow, &[]).unwrap_err().message.contains("devices[1]"));
    }

    #[test]
    fn memory_and_swap_are_counted_apart() {
        let of = |limit, swap| {
            let memory = Some(MemoryWish { limit, swap, ..MemoryWish::default() });
            limits(&Resources { memory, ..Resources::default() }).map(|limits| (limits.memory, limits.swap))
        };
        assert_eq!(of(Some(100), Some(100)).unwrap(), (Some(100), Some(0)));
        assert_eq!(of(Some(100), Some(300)).unwrap(), (Some(100), Some(200)));
        assert_eq!(of(Some(-1), Some(-1)).unwrap(), (Some(u64::MAX), Some(u64::MAX)));
        assert_eq!(of(Some(0), None).unwrap(), (None, None));
        assert!(of(None, Some(5)).is_err());
    }
}
