//! What a thread can be given besides ids and capabilities: scheduling, priorities, processors, execution domain, memory
//! policy, names.

use rustix::io::Errno;
use rustix::thread::CpuSet;

use crate::{Result, SysError, raw};

pub use crate::raw::settings::{SchedAttr, umask};

/// Scheduling policy and parameters of this thread.
///
/// # Errors
/// The kernel's.
pub fn schedule(attributes: &SchedAttr) -> Result<()> {
    raw::settings::sched_setattr(attributes)
        .map_err(|errno| SysError::new("sched_setattr", attributes.policy.to_string(), errno))
}

/// Input and output priority: class 1 to 3 and level 0 to 7.
///
/// # Errors
/// The kernel's.
pub fn io_priority(class: u8, level: i32) -> Result<()> {
    raw::settings::ioprio_set(i32::from(class) << 13 | level)
        .map_err(|errno| SysError::new("ioprio_set", format!("class {class} level {level}"), errno))
}

/// Execution domain.
///
/// # Errors
/// The kernel's.
pub fn personality(domain: u32) -> Result<()> {
    raw::settings::personality(domain).map_err(|errno| SysError::new("personality", format!("{domain:#x}"), errno))
}

/// Memory policy with flags, for a set of nodes.
///
/// # Errors
/// The kernel's.
pub fn memory_policy(mode: u32, flags: u32, nodes: &[u32]) -> Result<()> {
    let mut bits: Vec<u64> = Vec::new();
    for node in nodes {
        let word = (node / 64) as usize;
        bits.resize(bits.len().max(word + 1), 0);
        bits[word] |= 1 << (node % 64);
    }
    raw::settings::set_mempolicy((mode | flags).cast_signed(), &bits)
        .map_err(|errno| SysError::new("set_mempolicy", mode.to_string(), errno))
}

/// The processors that this thread may use.
///
/// # Errors
/// The kernel's; `EINVAL` if none of them exists.
pub fn processors(list: &[u32]) -> Result<()> {
    let mut set = CpuSet::new();
    for processor in list {
        let number = usize::try_from(*processor).unwrap_or(usize::MAX);
        if number >= CpuSet::MAX_CPU {
            return Err(SysError::new("sched_setaffinity", processor.to_string(), Errno::INVAL));
        }
        set.set(number);
    }
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|errno| SysError::new("sched_setaffinity", format!("{list:?}"), errno))
}

/// NIS domain name of this UTS namespace.
///
/// # Errors
/// The kernel's.
pub fn domain_name(name: &str) -> Result<()> {
    raw::settings::setdomainname(name.as_bytes()).map_err(|errno| SysError::new("setdomainname", name, errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each belongs to a thread, so this test needs no process of its own.
    #[test]
    fn settings_of_a_thread() {
        std::thread::spawn(|| {
            schedule(&SchedAttr { policy: 3, nice: 5, ..SchedAttr::default() }).unwrap();
            io_priority(3, 0).unwrap();
            personality(0).unwrap();
            let first = rustix::thread::sched_getaffinity(None).unwrap();
            let own = (0..CpuSet::MAX_CPU).find(|number| first.is_set(*number)).unwrap();
            processors(&[u32::try_from(own).unwrap()]).unwrap();
            assert_eq!(rustix::thread::sched_getaffinity(None).unwrap().count(), 1);
            assert!(processors(&[u32::MAX]).is_err());
        })
        .join()
        .unwrap();
    }
}
