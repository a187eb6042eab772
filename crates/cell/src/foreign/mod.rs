//! Cells for a foreign caller: creation and start are different programs, the first process outlives both, and what the
//! caller's configuration brings along is carried out as it is written.
//!
//! | program | does | leaves behind |
//! |---|---|---|
//! | creator | [`create`]: clone, maps, hooks, everything up to `Sealed`; then [`Created::leave`] | the first process, waiting at a socket |
//! | starter | [`start`]: connects, says `Go`, waits for the exec | nothing |
//! | runner | [`create`] without a socket, then [`Created::go`] | nothing: it waits for the end |
//! | entrant | [`Cell::adopt`], [`Cell::enter`] | a further process |

mod join;
pub mod resources;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use bulkhead_cgroup::Cgroup;
use bulkhead_plan::foreign::{Foreign, NamespaceKind};
use bulkhead_plan::steps::steps;
use bulkhead_plan::{IsolationPlan, Process};
use bulkhead_sys::namespace::Kinds;
use bulkhead_sys::seccomp::Program;
use bulkhead_sys::socket::Channel;
use bulkhead_sys::{SysError, mount, spawn};
use bulkhead_types::ErrorClass;
use rustix::fs::CWD;
use rustix::io::Errno;

use crate::cell::Tenant;
use crate::devices::Nodes;
use crate::failure::StepFailed;
use crate::launch::{Guard, disorder, next, vanished, write_proc};
use crate::protocol::{self, Packet};
use crate::scene::{ForeignScene, Role, Scene, bits};
use crate::{binds, child, hooks, limits};

pub use crate::hooks::run as run_hooks;

/// What a foreign caller's cell is built from.
pub struct Materials<'a> {
    /// What to build; its `foreign` part is present.
    pub plan: &'a IsolationPlan,
    /// Directory of the root file system on the host.
    pub root: &'a Path,
    /// Standard input, output and error of the process; ignored with a terminal.
    pub stdio: [OwnedFd; 3],
    /// Path of the cgroup below each hierarchy, made here.
    pub cgroup: Option<&'a str>,
    /// The compiled filter.
    pub filter: Option<&'a Program>,
    /// Where a later program will say `Go`; without it the caller does so itself.
    pub listener: Option<OwnedFd>,
    /// The state that hooks are told, by pid and status.
    pub state: &'a dyn Fn(u32, &str) -> String,
    /// Called as soon as the process exists, with its pid, before anything of the container runs.
    pub born: &'a mut dyn FnMut(u32) -> Result<(), StepFailed>,
}

/// A built cell whose process waits for `Go`.
pub struct Created {
    /// The first process.
    pub pid: u32,
    /// The controlling end of its terminal.
    pub terminal: Option<OwnedFd>,
    pidfd: OwnedFd,
    channel: Channel,
    guard: Guard,
}

/// Builds everything up to the filter.
///
/// # Errors
/// The step that failed; the cgroup and all processes are gone then.
pub fn create(materials: Materials<'_>) -> Result<Created, StepFailed> {
    let plan = materials.plan;
    let Some(foreign) = plan.foreign.as_deref() else {
        return Err(StepFailed::new("clone", ErrorClass::Internal, "this plan is not a foreign caller's"));
    };
    let root = root_tree(materials.root)?;
    let mounts = binds::prepare(foreign)?;
    let mut guard = Guard::default();
    let prepared = materials.cgroup.map(|path| group(&mut guard, path, foreign)).transpose()?.unwrap_or_default();
    let (ours, theirs) = Channel::pair().map_err(StepFailed::parent("clone"))?;
    let namespaces = join::Namespaces::open(foreign)?;
    let Materials { stdio, filter, listener, state, born, .. } = materials;
    let list = steps(plan);
    let (inside, outside) = namespaces.split();
    let sets = foreign.process.capabilities.as_ref();
    let mut scene = Some(Scene {
        role: Role::First,
        plan,
        process: &plan.process,
        capabilities: bits(sets.and_then(|sets| sets.bounding.as_deref()).unwrap_or_default()),
        filter,
        channel: &theirs,
        root_mount: Some(root),
        handles: Vec::new(),
        nodes: Nodes::default(),
        entry_files: &prepared.entry_files,
        unified_cgroup: prepared.unified,
        group_views: prepared.views,
        stdio: Some(stdio),
        own_program: None,
        root: None,
        proc: None,
        devpts: None,
        terminal: None,
        account: None,
        lowered: 0,
        foreign: Some(ForeignScene {
            process: Some(&foreign.process),
            joined: inside,
            mounts,
            state: Some(state),
            listener,
            starter: None,
            program: None,
        }),
    });
    let into = guard.group.as_ref().and_then(Cgroup::clone_into);
    let cloned = outside.around(foreign, |kinds: Kinds| {
        spawn::isolated(kinds, into, ours.as_fd(), || scene.as_mut().map_or(125, |scene| child::run(&list, scene)))
    });
    drop(scene);
    let (pidfd, pid) = cloned.map_err(|error| join::explain(&error, foreign))?;
    let watched = pidfd.try_clone().map_err(|errno| StepFailed::parent("clone")(SysError::new("dup", "pidfd", errno)));
    guard.pidfd = Some(pidfd);
    drop(theirs);
    let mut created = Created { pid, terminal: None, pidfd: watched?, channel: ours, guard };
    created.build(plan, foreign, state, born)?;
    Ok(created)
}

/// What the child needs of its cgroup.
#[derive(Default)]
struct Group {
    entry_files: Vec<OwnedFd>,
    views: Vec<(String, OwnedFd)>,
    unified: bool,
}

fn group(guard: &mut Guard, path: &str, foreign: &Foreign) -> Result<Group, StepFailed> {
    let empty = Default::default();
    let wanted = resources::translate(foreign.resources.as_ref().unwrap_or(&empty), &foreign.devices)?;
    let made = Cgroup::create(path, &wanted.limits, &wanted.devices).map_err(|error| StepFailed::group(&error))?;
    // From here on the guard removes it.
    let made = guard.group.insert(made);
    wanted.finish(made)?;
    let entry_files = made.entry_files().map_err(|error| StepFailed::group(&error))?;
    let unified = entry_files.is_empty() && made.clone_into().is_some();
    let mut views = Vec::new();
    let seen = |mount: &bulkhead_plan::foreign::ForeignMount| mount.kind.as_deref() == Some("cgroup");
    if foreign.mounts.iter().any(seen) {
        for (name, directory) in made.directories() {
            let view = mount::clone_tree(directory, "", false).map_err(StepFailed::parent("cgroup"))?;
            views.push((name.to_owned(), view));
        }
    }
    Ok(Group { entry_files, views, unified })
}

/// The root as a detached mount of its own, private, with what is mounted below it.
fn root_tree(path: &Path) -> Result<OwnedFd, StepFailed> {
    let text = path.to_string_lossy();
    let fail = |error: SysError| {
        let message = format!("root.path {text}: {error}; it must be a directory of the host that exists");
        StepFailed::new("root", ErrorClass::Invalid, message)
    };
    let tree = mount::clone_tree(CWD, &text, true).map_err(fail)?;
    let stat = rustix::fs::fstat(&tree).map_err(|errno| fail(SysError::new("fstat", "root", errno)))?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::Directory {
        return Err(fail(SysError::new("open_tree", "root", Errno::NOTDIR)));
    }
    let private = Some(mount::MountPropagationFlags::PRIVATE);
    mount::change(tree.as_fd(), &mount::Change { propagation: private, ..Default::default() }, true).map_err(fail)?;
    Ok(tree)
}

impl Created {
    /// Maps, limits, hooks; then follows the child until everything but the filter is in force.
    fn build(
        &mut self,
        plan: &IsolationPlan,
        foreign: &Foreign,
        state: &dyn Fn(u32, &str) -> String,
        born: &mut dyn FnMut(u32) -> Result<(), StepFailed>,
    ) -> Result<(), StepFailed> {
        born(self.pid)?;
        if foreign.makes(NamespaceKind::User) {
            write_maps(self.pid, plan, foreign)?;
        }
        limits::raise(self.pid, &plan.process.rlimits);
        if let Some(score) = foreign.process.oom_score_adj {
            limits::score(self.pid, score).map_err(StepFailed::parent("oom-score"))?;
        }
        self.tell(&Packet::MapsWritten)?;
        loop {
            match next(&self.channel, &self.pidfd, plan, &plan.process)? {
                Some(Packet::Terminal(fd)) if self.terminal.is_none() => self.terminal = Some(fd),
                Some(Packet::HooksPlease) => {
                    let told = state(self.pid, "creating");
                    let wanted = &foreign.hooks;
                    hooks::run(wanted.prestart.as_deref(), "prestart", &told)
                        .and_then(|()| hooks::run(wanted.create_runtime.as_deref(), "createRuntime", &told))
                        .map_err(|message| StepFailed::new("create-hooks", ErrorClass::Invalid, message))?;
                    self.tell(&Packet::HooksDone)?;
                }
                Some(Packet::Sealed(0)) => return Ok(()),
                Some(Packet::Sealed(lowered)) => {
                    let message = format!("process.rlimits: {}", limits::lowered(lowered, &plan.process).join("; "));
                    return Err(StepFailed::new("resource-limits", ErrorClass::Denied, message));
                }
                Some(packet) => return Err(disorder(packet.name(), "Sealed")),
                None => return Err(vanished(&self.pidfd)),
            }
        }
    }

    fn tell(&self, packet: &Packet) -> Result<(), StepFailed> {
        match protocol::send(&self.channel, packet) {
            // EPIPE: the child has failed and its reason is waiting in the channel.
            Err(error) if error.raw() != Errno::PIPE.raw_os_error() => Err(StepFailed::parent("maps")(error)),
            _ => Ok(()),
        }
    }

    /// Leaves the process waiting for its starter; nothing is undone any more.
    pub fn leave(self) {
        drop(self.guard.release());
    }

    /// Lets it execute; the end of the channel is the sign of success.
    ///
    /// # Errors
    /// The step that failed; the cgroup and all processes are gone then.
    pub fn go(self, plan: &IsolationPlan) -> Result<Tenant, StepFailed> {
        self.tell(&Packet::Go)?;
        if let Some(packet) = next(&self.channel, &self.pidfd, plan, &plan.process)? {
            return Err(disorder(packet.name(), "the end of the channel"));
        }
        drop(self.guard.release());
        Ok(Tenant { pidfd: self.pidfd, pid: self.pid, terminal: self.terminal })
    }
}

fn write_maps(pid: u32, plan: &IsolationPlan, foreign: &Foreign) -> Result<(), StepFailed> {
    let fail = |field: &'static str| {
        move |error: SysError| {
            let message = format!("{field}: {error}; the caller must own every id that it maps");
            StepFailed::new("maps", ErrorClass::Denied, message)
        }
    };
    if foreign.fixed_groups {
        write_proc(pid, "setgroups", "deny").map_err(fail("linux.gidMappings"))?;
    }
    write_proc(pid, "uid_map", &plan.ids.to_proc()).map_err(fail("linux.uidMappings"))?;
    write_proc(pid, "gid_map", &foreign.groups.to_proc()).map_err(fail("linux.gidMappings"))
}

/// Says `Go` to a process that [`Created::leave`] left behind, at the socket `name` in `directory`, and waits for its
/// exec.
///
/// # Errors
/// The step that failed; the process ends then.
pub fn start(directory: BorrowedFd<'_>, name: &str, plan: &IsolationPlan, pidfd: &OwnedFd) -> Result<(), StepFailed> {
    let channel = Channel::connect(directory, name).map_err(|error| {
        let gone = matches!(Errno::from_raw_os_error(error.raw()), Errno::CONNREFUSED | Errno::NOENT);
        let message = if gone { "the container is not waiting for its start".to_owned() } else { error.to_string() };
        StepFailed::new("start", ErrorClass::Conflict, message)
    })?;
    protocol::send(&channel, &Packet::Go).map_err(StepFailed::parent("start"))?;
    let process: &Process = &plan.process;
    match next(&channel, pidfd, plan, process)? {
        None => Ok(()),
        Some(packet) => Err(disorder(packet.name(), "the end of the channel")),
    }
}
