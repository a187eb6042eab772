//! What a foreign caller's plan opens compared with ours.

use crate::concession::Concession;
use crate::foreign::NamespaceKind;
use crate::model::{Device, IsolationPlan, SeccompPolicy};

/// The six nodes that every container has.
#[must_use]
pub fn standard_devices() -> [Device; 6] {
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)].map(
        |(name, major, minor)| Device {
            path: format!("/dev/{name}"),
            kind: 'c',
            major,
            minor,
            mode: 0o666,
            access: "rwm".to_owned(),
        },
    )
}

/// What a foreign plan opens compared with ours, read off the plan itself: nobody has to remember to say it.
#[must_use]
pub fn concessions(plan: &IsolationPlan) -> Vec<Concession> {
    let Some(foreign) = &plan.foreign else { return Vec::new() };
    let mut found = Vec::new();
    let shared = [
        (NamespaceKind::User, Concession::HostUsers),
        (NamespaceKind::Network, Concession::HostNetwork),
        (NamespaceKind::Pid, Concession::HostPid),
        (NamespaceKind::Ipc, Concession::HostIpc),
        (NamespaceKind::Uts, Concession::HostUts),
        (NamespaceKind::Cgroup, Concession::HostCgroup),
    ];
    found.extend(
        shared.into_iter().filter(|(kind, _)| foreign.namespace(*kind).is_none()).map(|(_, concession)| concession),
    );
    let ours = crate::seal::STANDARD;
    let sets = foreign.process.capabilities.as_ref();
    let bounding = sets.and_then(|sets| sets.bounding.as_deref()).unwrap_or_default();
    found.extend(bounding.iter().filter(|one| !ours.contains(one)).copied().map(Concession::Capability));
    if plan.seccomp == SeccompPolicy::Unconfined {
        found.push(Concession::NoSeccomp);
    }
    if !foreign.process.no_new_privs {
        found.push(Concession::NewPrivileges);
    }
    if plan.masked_paths.is_empty() {
        found.push(Concession::UnmaskedPaths);
    }
    found.extend(foreign.devices.iter().map(|device| Concession::Device(device.path.clone())));
    if let Some(score) = foreign.process.oom_score_adj.filter(|score| *score < 0) {
        found.push(Concession::SparedFromOom(score));
    }
    found
}
