//! `setrlimit(2)`, lowered to the inherited hard limit where this host gives us no right to raise it.
//!
//! *Why here:* before the ids change; root inside may still lower everything.

use bulkhead_plan::Rlimit;
use rustix::process::Resource;

use crate::scene::{Outcome, Role, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    // A further process has the container's limits, and its own on top.
    let inherited = if scene.role == Role::Further { scene.plan.process.rlimits.as_slice() } else { &[] };
    for limit in inherited {
        set(limit)?;
    }
    for (index, limit) in scene.process.rlimits.iter().enumerate() {
        let lowered = set(limit).map_err(|trouble| trouble.at(index))?;
        if lowered && index < 32 {
            scene.lowered |= 1 << index;
        }
    }
    Ok(())
}

/// Sets one limit; true if it had to be lowered.
fn set(limit: &Rlimit) -> Result<bool, Trouble> {
    let resource =
        resource(&limit.name).ok_or_else(|| Trouble::new("setrlimit", &limit.name, rustix::io::Errno::INVAL))?;
    let ceiling = rustix::process::getrlimit(resource).maximum;
    let clamp = |wanted: Option<u64>| match (wanted, ceiling) {
        (Some(wanted), Some(ceiling)) => Some(wanted.min(ceiling)),
        (None, ceiling) => ceiling,
        (wanted, None) => wanted,
    };
    let (current, maximum) = (clamp(limit.soft), clamp(limit.hard));
    rustix::process::setrlimit(resource, rustix::process::Rlimit { current, maximum })
        .map_err(|errno| Trouble::new("setrlimit", &limit.name, errno))?;
    Ok(current != limit.soft || maximum != limit.hard)
}

/// The kernel's resource by Docker's name.
pub fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}
