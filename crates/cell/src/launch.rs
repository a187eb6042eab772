//! The parent's side: `Prepared` → `Cloned` → `Mapped` → `Sealed` → a running [`Cell`]. Each state is made from the one
//! before, so nothing can be left out or done twice.

use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_cgroup::{Cgroup, DeviceRule};
use bulkhead_plan::foreign::NamespaceKind;
use bulkhead_plan::seccomp::filter_for;
use bulkhead_plan::steps::steps;
use bulkhead_plan::{IsolationPlan, MountSource, Process};
use bulkhead_sys::namespace::Kinds;
use bulkhead_sys::process::Ended;
use bulkhead_sys::seccomp::Program;
use bulkhead_sys::socket::Channel;
use bulkhead_sys::{SysError, mount, process, spawn};
use bulkhead_types::ErrorClass;
use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::cell::{Cell, Tenant};
use crate::devices::{self, Nodes};
use crate::failure::{StepFailed, explain};
use crate::protocol::{self, Packet, Received};
use crate::scene::{Role, Scene, bits};
use crate::{child, filter, limits};

/// Version 1 hierarchies that programs look for their limits in (the JVM wants all of them, or none). Others stay out of
/// sight: each view costs time at every start.
const VIEWS: [&str; 6] = ["memory", "cpu", "cpuacct", "cpu,cpuacct", "cpuset", "pids"];

/// What a cell is built from.
#[derive(Debug)]
pub struct Materials<'a> {
    /// What to build.
    pub plan: &'a IsolationPlan,
    /// The detached root mount.
    pub root: OwnedFd,
    /// Descriptors that [`bulkhead_plan::MountSource::Handle`] indexes into. Taken out as they are used.
    pub handles: Vec<Option<OwnedFd>>,
    /// cgroup path, or none.
    pub cgroup: Option<&'a str>,
    /// Standard input, output and error of the process; ignored with a terminal.
    pub stdio: [OwnedFd; 3],
}

/// Builds the cell and executes the plan's process: clone, maps, seal, go. Returns when `execve` has succeeded or
/// failed.
///
/// # Errors
/// The step that failed; the cgroup and all processes are gone then.
pub fn launch(materials: Materials<'_>) -> Result<(Cell, Tenant), StepFailed> {
    let plan = materials.plan;
    Prepared::new(materials)?.start()?.map(plan)?.seal(plan)?.go(plan)
}

/// Everything the child will need exists.
struct Prepared<'a> {
    materials: Materials<'a>,
    filter: Option<Program>,
    nodes: Nodes,
    group: Guard,
    entry_files: Vec<OwnedFd>,
    group_views: Vec<(String, OwnedFd)>,
    unified_cgroup: bool,
}

/// The child exists and enters its cgroup.
struct Cloned {
    guard: Guard,
    pidfd: OwnedFd,
    pid: u32,
    channel: Channel,
    filter: Option<Program>,
}

/// Its ids exist; it builds.
struct Mapped {
    cloned: Cloned,
    warnings: Vec<String>,
}

/// Everything but the filter is in force.
struct Sealed {
    cloned: Cloned,
    terminal: Option<OwnedFd>,
    warnings: Vec<String>,
}

/// Removes what exists unless the launch succeeds: first the process, then the group.
#[derive(Default)]
pub(crate) struct Guard {
    pub(crate) pidfd: Option<OwnedFd>,
    pub(crate) group: Option<Cgroup>,
}

impl Guard {
    /// Success: the group lives on.
    pub(crate) fn release(mut self) -> Option<Cgroup> {
        self.pidfd = None;
        self.group.take()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(pidfd) = self.pidfd.take() {
            // ESRCH and ECHILD mean that it is gone already, which is what is wanted.
            drop(process::signal(pidfd.as_fd(), 9));
            drop(process::wait(pidfd.as_fd()));
        }
        if let Some(group) = self.group.take() {
            // The first error is already on its way; what cannot be removed is found by the engine's repair.
            drop(group.kill());
            drop(group.remove());
        }
    }
}

impl<'a> Prepared<'a> {
    fn new(materials: Materials<'a>) -> Result<Self, StepFailed> {
        let plan = materials.plan;
        let filter = match filter_for(plan) {
            None => None,
            Some(filter) => Some(filter::compile(&filter).map_err(|error| {
                StepFailed::new("filter", ErrorClass::Internal, format!("the plan's filter does not compile: {error}"))
            })?),
        };
        give_pipes(plan, &materials.stdio)?;
        let nodes = devices::prepare(plan).map_err(StepFailed::parent("devices"))?;
        let mut prepared = Self {
            materials,
            filter,
            nodes,
            group: Guard::default(),
            entry_files: Vec::new(),
            group_views: Vec::new(),
            unified_cgroup: false,
        };
        if let Some(path) = prepared.materials.cgroup {
            prepared.make_group(path)?;
        }
        Ok(prepared)
    }

    fn make_group(&mut self, path: &str) -> Result<(), StepFailed> {
        let plan = self.materials.plan;
        let made = Cgroup::create(path, &limits::translate(&plan.limits), &device_rules(plan));
        // From here on the guard removes it.
        let made = self.group.group.insert(made.map_err(|error| StepFailed::group(&error))?);
        self.entry_files = made.entry_files().map_err(|error| StepFailed::group(&error))?;
        self.unified_cgroup = self.entry_files.is_empty() && made.clone_into().is_some();
        if plan.mounts.iter().any(|mount| mount.source == MountSource::Cgroup) {
            for (name, directory) in made.directories().filter(|(name, _)| VIEWS.contains(name)) {
                let view = mount::clone_tree(directory, "", false).map_err(StepFailed::parent("cgroup"))?;
                self.group_views.push((name.to_owned(), view));
            }
        }
        Ok(())
    }

    fn start(self) -> Result<Cloned, StepFailed> {
        let Self { materials, filter, nodes, mut group, entry_files, group_views, unified_cgroup } = self;
        let plan = materials.plan;
        let (ours, theirs) = Channel::pair().map_err(StepFailed::parent("clone"))?;
        let kinds = kinds(plan).without(Kinds::CGROUP);
        let into = group.group.as_ref().and_then(Cgroup::clone_into);
        let (Materials { root, handles, stdio, .. }, compiled) = (materials, filter.as_ref());
        let list = steps(plan);
        let child = || {
            let mut scene = Scene {
                role: Role::First,
                plan,
                process: &plan.process,
                capabilities: bits(&plan.capabilities),
                filter: compiled,
                channel: &theirs,
                root_mount: Some(root),
                handles,
                nodes,
                entry_files: &entry_files,
                unified_cgroup,
                group_views,
                stdio: Some(stdio),
                own_program: None,
                root: None,
                proc: None,
                devpts: None,
                terminal: None,
                account: None,
                lowered: 0,
                foreign: None,
            };
            child::run(&list, &mut scene)
        };
        let (pidfd, pid) = spawn::isolated(kinds, into, ours.as_fd(), child).map_err(StepFailed::parent("clone"))?;
        let watched =
            pidfd.try_clone().map_err(|errno| StepFailed::parent("clone")(SysError::new("dup", "pidfd", errno)));
        group.pidfd = Some(pidfd);
        // With our copy gone, the channel ends when the child's is closed by its exec.
        drop(theirs);
        Ok(Cloned { guard: group, pidfd: watched?, pid, channel: ours, filter })
    }
}

/// All the namespaces that a plan makes new. User and mount cannot be turned off.
pub(crate) fn kinds(plan: &IsolationPlan) -> Kinds {
    if let Some(foreign) = &plan.foreign {
        return foreign.namespaces.iter().fold(Kinds::NONE, |kinds, wish| kinds.with(kind(wish.kind)));
    }
    let wanted = plan.namespaces;
    Kinds::USER
        .with(Kinds::MOUNT)
        .with_if(wanted.pid, Kinds::PID)
        .with_if(wanted.network, Kinds::NETWORK)
        .with_if(wanted.ipc, Kinds::IPC)
        .with_if(wanted.uts, Kinds::UTS)
        .with_if(wanted.cgroup, Kinds::CGROUP)
        .with_if(wanted.time, Kinds::TIME)
}

/// The kernel's bit of a kind.
pub(crate) fn kind(kind: NamespaceKind) -> Kinds {
    match kind {
        NamespaceKind::User => Kinds::USER,
        NamespaceKind::Mount => Kinds::MOUNT,
        NamespaceKind::Pid => Kinds::PID,
        NamespaceKind::Network => Kinds::NETWORK,
        NamespaceKind::Ipc => Kinds::IPC,
        NamespaceKind::Uts => Kinds::UTS,
        NamespaceKind::Cgroup => Kinds::CGROUP,
        NamespaceKind::Time => Kinds::TIME,
    }
}

impl Cloned {
    /// Writes the id maps, what only the parent may raise, and lets the child go on.
    fn map(self, plan: &IsolationPlan) -> Result<Mapped, StepFailed> {
        let map = plan.ids.to_proc();
        // setgroups stays allowed: the maps are written by one who has the rights over every id in them.
        write_proc(self.pid, "uid_map", &map).map_err(StepFailed::parent("maps"))?;
        write_proc(self.pid, "gid_map", &map).map_err(StepFailed::parent("maps"))?;
        limits::raise(self.pid, &plan.process.rlimits);
        let warning = limits::score(self.pid, plan.oom_score_adj).map_err(StepFailed::parent("oom-score"))?;
        let sent = protocol::send(&self.channel, &Packet::MapsWritten);
        // EPIPE: the child has failed and its reason is waiting in the channel.
        sent.or_else(|error| if error.raw() == Errno::PIPE.raw_os_error() { Ok(()) } else { Err(error) })
            .map_err(StepFailed::parent("maps"))?;
        Ok(Mapped { cloned: self, warnings: warning.into_iter().collect() })
    }
}

impl Mapped {
    /// Follows the child until everything but the filter is in force.
    fn seal(self, plan: &IsolationPlan) -> Result<Sealed, StepFailed> {
        let Self { cloned, mut warnings } = self;
        let mut terminal = None;
        loop {
            match next(&cloned.channel, &cloned.pidfd, plan, &plan.process)? {
                Some(Packet::Terminal(fd)) if terminal.is_none() && plan.process.terminal.is_some() => {
                    terminal = Some(fd);
                }
                Some(Packet::Sealed(lowered)) => {
                    warnings.extend(limits::lowered(lowered, &plan.process));
                    return Ok(Sealed { cloned, terminal, warnings });
                }
                Some(packet) => return Err(disorder(packet.name(), "Sealed")),
                None => return Err(vanished(&cloned.pidfd)),
            }
        }
    }
}

impl Sealed {
    /// Lets the child execute; the end of the channel is the sign of success.
    fn go(self, plan: &IsolationPlan) -> Result<(Cell, Tenant), StepFailed> {
        let Self { cloned, terminal, mut warnings } = self;
        protocol::send(&cloned.channel, &Packet::Go).map_err(StepFailed::parent("go"))?;
        if let Some(packet) = next(&cloned.channel, &cloned.pidfd, plan, &plan.process)? {
            return Err(disorder(packet.name(), "the end of the channel"));
        }
        let first = cloned.pidfd.try_clone();
        let first = first.map_err(|errno| StepFailed::parent("go")(SysError::new("dup", "pidfd", errno)))?;
        let group = cloned.guard.release();
        if let Some(group) = &group {
            warnings.extend(group.warnings().iter().cloned());
        }
        let cell = Cell::new(plan, (first, cloned.pid), group, cloned.filter, warnings)?;
        Ok((cell, Tenant { pidfd: cloned.pidfd, pid: cloned.pid, terminal }))
    }
}

/// The child's next packet; `None` at the end of the channel. A failure of the child comes back as the error it means.
pub(crate) fn next(
    channel: &Channel,
    pidfd: &OwnedFd,
    plan: &IsolationPlan,
    process: &Process,
) -> Result<Option<Packet>, StepFailed> {
    match protocol::receive(channel).map_err(lost)? {
        Received::End => Ok(None),
        Received::Packet(Packet::StepFailed(failure)) => Err(explain(&failure, plan, process)),
        Received::Packet(packet) => Ok(Some(packet)),
        Received::Nonsense => Err(disorder("nonsense", "a packet")),
    }
    .inspect_err(|_| {
        // The caller reaps it; it has nothing left to do.
        drop(process::signal(pidfd.as_fd(), 9));
    })
}

fn lost(error: SysError) -> StepFailed {
    if error.raw() != Errno::AGAIN.raw_os_error() {
        return StepFailed::parent("protocol")(error);
    }
    let message = "the process did not become ready in time: something in the container stopped it, or the host is \
                   overloaded; try again, or stop the container";
    StepFailed::new("protocol", ErrorClass::Unavailable, message)
}

pub(crate) fn disorder(got: &str, wanted: &str) -> StepFailed {
    StepFailed::new("protocol", ErrorClass::Internal, format!("the child said {got} where {wanted} was due"))
}

/// The child died without a word: mostly the kernel, for lack of memory.
pub(crate) fn vanished(pidfd: &OwnedFd) -> StepFailed {
    let how = match process::wait(pidfd.as_fd()) {
        Ok(Ended::Signal(signal)) => format!("signal {signal} ended it"),
        Ok(Ended::Code(code)) => format!("it exited with {code}"),
        Err(error) => error.to_string(),
    };
    StepFailed::new(
        "protocol",
        ErrorClass::Internal,
        format!(
            "the child that builds the container died before it was ready: {how}; a very small memory limit does that"
        ),
    )
}

pub(crate) fn write_proc(pid: u32, name: &str, text: &str) -> Result<(), SysError> {
    let path = format!("/proc/{pid}/{name}");
    let fail = |errno| SysError::new("write", path.clone(), errno);
    let file = rustix::fs::openat(CWD, path.as_str(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
    let written = rustix::io::write(&file, text.as_bytes()).map_err(fail)?;
    if written == text.len() { Ok(()) } else { Err(fail(Errno::IO)) }
}

/// Pipes become those of root inside, who passes them on to the final user: `/dev/stdout` can be opened again then.
/// Files, devices and sockets that were passed in stay as they are.
pub(crate) fn give_pipes(plan: &IsolationPlan, stdio: &[OwnedFd; 3]) -> Result<(), StepFailed> {
    let Ok(root) = plan.ids.to_host(0) else { return Ok(()) };
    for stream in stdio {
        let Ok(stat) = rustix::fs::fstat(stream) else { continue };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo {
            rustix::fs::fchown(stream, Some(Uid::from_raw(root)), Some(Gid::from_raw(root)))
                .map_err(|errno| StepFailed::parent("stdio")(SysError::new("fchown", "pipe", errno)))?;
        }
    }
    Ok(())
}

/// Pseudo terminals: `/dev/pts/ptmx` (5, 2) and the ends that programs hold (136). They exist only in the container's
/// own devpts instance, so the rule opens nothing of the host's.
const TERMINALS: [(u32, Option<u32>); 2] = [(5, Some(2)), (136, None)];

fn device_rules(plan: &IsolationPlan) -> Vec<DeviceRule> {
    let rule = |device: &bulkhead_plan::Device| DeviceRule {
        kind: device.kind,
        major: Some(device.major),
        minor: Some(device.minor),
        access: device.access.clone(),
    };
    let terminal = |(major, minor)| DeviceRule { kind: 'c', major: Some(major), minor, access: "rw".to_owned() };
    plan.devices.iter().map(rule).chain(TERMINALS.map(terminal)).collect()
}
