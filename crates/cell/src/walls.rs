//! The protections of a plan, for `inspect`. A cell that runs has them all in force: a step that fails stops the start.

use bulkhead_plan::IsolationPlan;
use bulkhead_plan::control::Wall;
use bulkhead_plan::seccomp::filter_for;

/// Each protection: `full`, or what is missing.
pub fn list(plan: &IsolationPlan, group: bool) -> Vec<Wall> {
    let spaces = plan.namespaces;
    let shared = |own: bool| if own { "full".to_owned() } else { "missing: the host's is shared".to_owned() };
    let present = |is: bool, missing: &str| if is { "full".to_owned() } else { format!("missing: {missing}") };
    let capabilities = match plan.capabilities.len() {
        0 => "full: none".to_owned(),
        _ => format!(
            "full: only {}",
            plan.capabilities.iter().map(|capability| capability.name()).collect::<Vec<_>>().join(" ")
        ),
    };
    [
        ("user-namespace", shared(spaces.user)),
        ("mount-namespace", shared(spaces.mount)),
        ("pid-namespace", shared(spaces.pid)),
        ("network-namespace", shared(spaces.network)),
        ("ipc-namespace", shared(spaces.ipc)),
        ("uts-namespace", shared(spaces.uts)),
        ("cgroup-namespace", shared(spaces.cgroup)),
        ("time-namespace", shared(spaces.time)),
        ("capabilities", capabilities),
        ("no-new-privileges", present(plan.no_new_privs, "set-user-id programs gain rights")),
        ("seccomp", present(filter_for(plan).is_some(), "every system call is open")),
        ("nested-user-namespaces", "full".to_owned()),
        ("masked-paths", present(!plan.masked_paths.is_empty(), "the kernel's files are visible")),
        ("read-only-paths", present(!plan.read_only_paths.is_empty(), "the kernel's settings are writable")),
        ("limits", present(group, "no cgroup could be had, so nothing is limited")),
    ]
    .into_iter()
    .map(|(name, state)| Wall { name: name.to_owned(), state })
    .collect()
}
