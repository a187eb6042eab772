//! The order in which a cell is built: a closed list, pure data. `cell` has one file per step and one loop.
//!
//! Everything here runs in the child, which `clone3` has put into new namespaces already (all the plan's but the cgroup
//! namespace). The parent does what only it may: cgroup, id maps, `oom_score_adj`, before it lets the child go on.

use crate::foreign::{Foreign, NamespaceKind};
use crate::model::{IsolationPlan, SeccompPolicy};

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// One thing that the child does. The variants stand in the one order in which they ever run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Step { $($(#[$doc])* $name,)* }

        impl Step {
            /// Every step in its order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in messages, for example `attach-mounts`.
            #[must_use]
            pub const fn name(self) -> &'static str { match self { $(Self::$name => $text,)* } }
        }
    };
}

steps! {
    /// `PR_SET_PDEATHSIG` with `SIGKILL`, then a look whether the parent is still there. First, so that no moment exists
    /// in which the child outlives a killed monitor.
    DieWithParent = "die-with-parent";
    /// `setsid(2)`, and a new session keyring so that no key of the host's session is inherited.
    NewSession = "new-session";
    /// Writes `0` to the `tasks` files of version 1 groups (nothing to do where `clone3` chose the group). Before any
    /// memory is spent, so that everything counts, and before the cgroup namespace, whose root is the group of now.
    EnterCgroup = "enter-cgroup";
    /// Enters the namespaces that a foreign caller names by path (`setns(2)`), its user namespace first: the right to
    /// enter the others may come with it.
    JoinNamespaces = "join-namespaces";
    /// Waits for the parent's word that the id maps are written, then takes uid 0 and gid 0 of the new user namespace
    /// with no supplementary group. Everything below needs ids that exist.
    AssumeRoot = "assume-root";
    /// `unshare(CLONE_NEWCGROUP)`: needs the rights that `AssumeRoot` gives and the place that `EnterCgroup` gives.
    CgroupNamespace = "cgroup-namespace";
    /// Sets the loopback interface up.
    Loopback = "loopback";
    /// Makes every mount of the inherited tree private (recursively), so that nothing below propagates to the host.
    PrivateMounts = "private-mounts";
    /// `move_mount(2)` of the detached root over a directory of the still inherited tree.
    AttachRoot = "attach-root";
    /// The plan's mounts in their order, each onto a descriptor found below the new root. Before the pivot: a new procfs
    /// or sysfs is only allowed while an unmasked one is visible.
    AttachMounts = "attach-mounts";
    /// A foreign caller's mounts, in the words of `mount(8)`.
    ForeignMounts = "foreign-mounts";
    /// Device nodes below a `/dev` that a foreign caller mounts, and the usual links. With the rights of the host's root, or
    /// by binding the host's nodes where those are not to be had.
    ForeignDevices = "foreign-devices";
    /// Lets the parent run the hooks of the caller (`createRuntime`), then runs those that belong inside (`createContainer`).
    /// Before the pivot, because their programs are the host's.
    CreateHooks = "create-hooks";
    /// `pivot_root(2)`, detaches the old tree, `chdir("/")`, and checks that the working directory is below the root.
    Pivot = "pivot";
    /// Opens the terminal from the container's own devpts, sends its controlling end to the parent and binds the other
    /// one over `/dev/console`. After the pivot, because it is the container's devpts, before paths become read-only.
    Terminal = "terminal";
    /// The propagation that a foreign caller wants of the root; after the pivot, which a shared root would forbid.
    RootPropagation = "root-propagation";
    /// `sethostname(2)`.
    Hostname = "hostname";
    /// The plan's sysctls, written through the private procfs; before `/proc/sys` becomes read-only.
    Sysctls = "sysctls";
    /// Writes 0 to `user.max_user_namespaces` and reads it back: from here on no nested user namespace can be made,
    /// with or without the filter (65 of 152 kernel cases need one).
    CloseUserNamespaces = "close-user-namespaces";
    /// Creates the working directory if it is missing; before the root may become read-only.
    MakeWorkingDirectory = "make-working-directory";
    /// Covers the masked paths with the engine's own empty file or directory (never the container's `/dev/null`:
    /// CVE-2025-31133). After the mounts, or a mount could uncover one.
    MaskPaths = "mask-paths";
    /// Binds the read-only paths onto themselves.
    ReadOnlyPaths = "read-only-paths";
    /// Remounts the root read-only. After everything that creates a mount point.
    ReadOnlyRoot = "read-only-root";
    /// Standard input, output and error onto 0, 1 and 2; with a terminal makes it the controlling one.
    Stdio = "stdio";
    /// `setrlimit(2)`; before the ids change, because root may still set what is allowed.
    ResourceLimits = "resource-limits";
    /// Scheduler, priorities, processors, personality, memory policy, umask and labels of a foreign process: while it is
    /// still root.
    Settings = "settings";
    /// Drops everything else from the bounding set; needs `CAP_SETPCAP`, so before the ids and sets change.
    BoundingSet = "bounding-set";
    /// Resolves the user inside, sets groups, gid, uid and `HOME`; then asks for the parent-death signal again, which a
    /// change of ids clears.
    Identity = "identity";
    /// Permitted and effective sets as planned (empty for a user other than root), inheritable and ambient empty.
    Capabilities = "capabilities";
    /// `chdir(2)` to the working directory, as the final user, and a check that it lies below the root
    /// (CVE-2024-21626).
    WorkingDirectory = "working-directory";
    /// `PR_SET_NO_NEW_PRIVS`; a failure is fatal. Before the filter, which needs it.
    NoNewPrivileges = "no-new-privileges";
    /// Default dispositions, empty mask.
    Signals = "signals";
    /// `close_range(3, …, CLOSE_RANGE_CLOEXEC)`: whatever is still open ends with the exec.
    CloseHandles = "close-handles";
    /// Says `Sealed` to the parent and waits for `Go`.
    Sealed = "sealed";
    /// The hooks of the caller that run inside right before its program (`startContainer`).
    StartHooks = "start-hooks";
    /// Loads the compiled filter. After `Go`, so that a filter never has to allow our own handshake.
    Filter = "filter";
    /// Forks: pid 1 stays behind, reaps and forwards signals; its child goes on. Both are filtered.
    Init = "init";
    /// `execve(2)`; only a failure comes back.
    Execute = "execute";
}

/// What the child of a new cell does, in order.
#[must_use]
pub fn steps(plan: &IsolationPlan) -> Vec<Step> {
    Step::ALL.iter().copied().filter(|step| wanted(*step, plan)).collect()
}

/// What a further process in a running cell does, in order, after it has joined the namespaces (`setns(2)` with the pidfd
/// of the first process). It gets the same walls.
#[must_use]
pub fn exec_steps(plan: &IsolationPlan) -> Vec<Step> {
    const EXEC: &[Step] = &[
        Step::DieWithParent,
        Step::NewSession,
        Step::EnterCgroup,
        Step::AssumeRoot,
        Step::Terminal,
        Step::Stdio,
        Step::ResourceLimits,
        Step::Settings,
        Step::BoundingSet,
        Step::Identity,
        Step::Capabilities,
        Step::WorkingDirectory,
        Step::NoNewPrivileges,
        Step::Signals,
        Step::CloseHandles,
        Step::Filter,
        Step::Execute,
    ];
    EXEC.iter().copied().filter(|step| *step == Step::Terminal || wanted(*step, plan)).collect()
}

/// What the child of a foreign caller's cell does, in order: [`steps`] with the caller's own beside ours. It outlives
/// its parent, and nothing is closed that the caller wants open.
fn foreign(step: Step, plan: &IsolationPlan, foreign: &Foreign) -> bool {
    let hooks = &foreign.hooks;
    match step {
        Step::JoinNamespaces => foreign.namespaces.iter().any(|wish| wish.path.is_some()),
        Step::Loopback => foreign.makes(NamespaceKind::Network),
        Step::Hostname => !plan.hostname.is_empty() || foreign.domain_name.is_some(),
        Step::CreateHooks => {
            [&hooks.prestart, &hooks.create_runtime, &hooks.create_container].iter().any(|list| list.is_some())
        }
        Step::RootPropagation => foreign.propagation.is_some(),
        Step::StartHooks => hooks.start_container.is_some(),
        Step::NoNewPrivileges => foreign.process.no_new_privs,
        Step::CloseUserNamespaces | Step::AttachMounts | Step::Init => false,
        Step::ForeignMounts | Step::ForeignDevices | Step::Settings => true,
        _ => common(step, plan),
    }
}

/// Whether a step has something to do. What protects is only ever left out by a field that a concession covers.
fn wanted(step: Step, plan: &IsolationPlan) -> bool {
    if let Some(caller) = &plan.foreign {
        return foreign(step, plan, caller);
    }
    match step {
        Step::JoinNamespaces
        | Step::ForeignMounts
        | Step::ForeignDevices
        | Step::CreateHooks
        | Step::RootPropagation
        | Step::Settings
        | Step::StartHooks => false,
        _ => common(step, plan),
    }
}

fn common(step: Step, plan: &IsolationPlan) -> bool {
    match step {
        Step::CgroupNamespace => plan.namespaces.cgroup,
        Step::Loopback => plan.namespaces.network,
        Step::Hostname => plan.namespaces.uts,
        Step::Sysctls => !plan.sysctls.is_empty(),
        Step::Terminal => plan.process.terminal.is_some(),
        Step::MaskPaths => !plan.masked_paths.is_empty(),
        Step::ReadOnlyPaths => !plan.read_only_paths.is_empty(),
        Step::ReadOnlyRoot => plan.read_only_root,
        Step::NoNewPrivileges => plan.no_new_privs,
        Step::Filter => plan.seccomp != SeccompPolicy::Unconfined,
        Step::Init => plan.init,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_short_and_names_are_unique() {
        let mut names: Vec<&str> = Step::ALL.iter().map(|step| step.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Step::ALL.len());
        assert!(Step::ALL.len() <= 48);
    }

    /// Each rule: the left one strictly before the right one, and why.
    #[test]
    fn order_rules_hold() {
        use Step::*;
        let rules: &[(Step, Step, &str)] = &[
            (DieWithParent, AssumeRoot, "no moment outlives a killed monitor"),
            (EnterCgroup, CgroupNamespace, "the namespace's root is the group at its making"),
            (AssumeRoot, CgroupNamespace, "unshare needs rights in the user namespace"),
            (AssumeRoot, AttachRoot, "mounting needs rights in the user namespace"),
            (PrivateMounts, AttachRoot, "nothing propagates to the host"),
            (AttachRoot, AttachMounts, "mounts go below the root"),
            (AttachMounts, Pivot, "mounts before pivot"),
            (Pivot, MaskPaths, "masks after pivot"),
            (AttachMounts, MaskPaths, "a mount must not uncover a mask"),
            (Pivot, Terminal, "the terminal is the container's own"),
            (Sysctls, ReadOnlyPaths, "/proc/sys is writable only before"),
            (CloseUserNamespaces, ReadOnlyPaths, "/proc/sys is writable only before"),
            (CloseUserNamespaces, Identity, "needs root inside"),
            (MakeWorkingDirectory, ReadOnlyRoot, "a read-only root has no new directories"),
            (MaskPaths, ReadOnlyRoot, "mount points may have to be found first"),
            (ResourceLimits, Identity, "limits before ids"),
            (BoundingSet, Identity, "needs CAP_SETPCAP"),
            (BoundingSet, Capabilities, "needs CAP_SETPCAP"),
            (Identity, Capabilities, "setuid needs CAP_SETUID"),
            (Identity, WorkingDirectory, "with the rights of the user only"),
            (Capabilities, NoNewPrivileges, "nothing gains afterwards"),
            (NoNewPrivileges, Filter, "the filter needs it"),
            (CloseHandles, Filter, "the filter is last but init and exec"),
            (Sealed, Filter, "a filter need not allow the handshake"),
            (Filter, Init, "pid 1 is filtered too"),
            (Init, Execute, "nothing after exec"),
            (JoinNamespaces, AssumeRoot, "the ids are those of the namespace that is joined"),
            (ForeignMounts, ForeignDevices, "nodes go onto what is mounted"),
            (CreateHooks, Pivot, "the hooks' programs are the host's"),
            (ForeignMounts, CreateHooks, "hooks find the container as it will be"),
            (Settings, Identity, "priorities need rights"),
            (Sealed, StartHooks, "they belong to the start"),
            (StartHooks, Filter, "hooks are not filtered"),
        ];
        for (before, after, why) in rules {
            assert!(before < after, "{} must come before {}: {why}", before.name(), after.name());
        }
        assert_eq!(Step::ALL.last(), Some(&Execute));
    }
}
