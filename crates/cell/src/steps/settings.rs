//! Scheduling, priorities, processors, execution domain, memory policy, umask and labels of a foreign process.
//!
//! *Why here:* still root, because raising a priority needs rights that the next steps take away. Labels count from the
//! exec on.

use bulkhead_plan::foreign::{Foreign, ForeignProcess};
use bulkhead_sys::settings::{self, SchedAttr};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::sysctls;
use crate::lists;
use crate::scene::{Outcome, Role, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    if let (Role::First, Some(foreign)) = (scene.role, scene.plan.foreign.as_deref()) {
        whole(foreign)?;
    }
    let Some(process) = scene.foreign_process() else { return Ok(()) };
    own(process)?;
    labels(scene, process)
}

/// What the first process hands down to all the others.
fn whole(foreign: &Foreign) -> Outcome {
    if let Some(domain) = foreign.personality {
        settings::personality(domain)?;
    }
    if let Some(policy) = &foreign.memory_policy {
        let nodes = policy.nodes.as_deref().map(lists::numbers).transpose();
        let nodes = nodes.map_err(|_| Trouble::new("set_mempolicy", "nodes", Errno::INVAL))?.unwrap_or_default();
        settings::memory_policy(policy.mode, policy.flags.unwrap_or(0), &nodes)?;
    }
    Ok(())
}

fn own(process: &ForeignProcess) -> Outcome {
    if let Some(wish) = &process.scheduler {
        settings::schedule(&SchedAttr {
            size: 0,
            policy: wish.policy,
            flags: wish.flags.unwrap_or(0),
            nice: wish.nice.unwrap_or(0),
            priority: u32::try_from(wish.priority.unwrap_or(0)).unwrap_or(0),
            runtime: wish.runtime.unwrap_or(0),
            deadline: wish.deadline.unwrap_or(0),
            period: wish.period.unwrap_or(0),
        })?;
    }
    if let Some(priority) = process.io_priority {
        settings::io_priority(priority.class, priority.priority.unwrap_or(0))?;
    }
    if let Some(list) = process.affinity.as_ref().and_then(|affinity| affinity.last.as_deref()) {
        let list = lists::numbers(list).map_err(|_| Trouble::new("sched_setaffinity", list, Errno::INVAL))?;
        settings::processors(&list)?;
    }
    settings::umask(process.umask.unwrap_or(0o022));
    Ok(())
}

/// Labels of security modules, through a procfs of our own (CVE-2019-16884).
fn labels(scene: &Scene<'_>, process: &ForeignProcess) -> Outcome {
    if let Some(profile) = process.apparmor.as_deref().filter(|profile| !profile.is_empty()) {
        let text = format!("exec {profile}");
        // The older place is the one that other modules may own.
        if write_attribute(scene, "apparmor/exec", &text).is_err() {
            write_attribute(scene, "exec", &text)?;
        }
    }
    match process.selinux.as_deref().filter(|label| !label.is_empty()) {
        Some(label) => write_attribute(scene, "exec", label),
        None => Ok(()),
    }
}

fn write_attribute(scene: &Scene<'_>, name: &str, value: &str) -> Outcome {
    let proc = sysctls::any_proc(scene)?;
    let own = rustix::fs::readlinkat(&proc, "thread-self", Vec::new())
        .map_err(|errno| Trouble::new("readlink", "thread-self", errno))?;
    let path = format!("{}/attr/{name}", own.to_string_lossy());
    let fail = |errno| Trouble::new("write", &path, errno);
    let file =
        rustix::fs::openat(&proc, path.as_str(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
    rustix::io::write(&file, value.as_bytes()).map_err(fail)?;
    Ok(())
}
