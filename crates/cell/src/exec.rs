//! A further process in a running cell: it joins every namespace of the first one and gets the same walls.
//!
//! One clone is enough. The monitor, which has one thread, sets the cell's pid namespace as that of its next child,
//! clones, and takes its own back; the child joins the rest by itself. So it is a child of the monitor, is waited for by
//! pidfd, and no process in between has to be reaped.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bulkhead_cgroup::Cgroup;
use bulkhead_plan::Process;
use bulkhead_plan::control::Exec;
use bulkhead_plan::foreign::ForeignProcess;
use bulkhead_plan::seccomp;
use bulkhead_plan::steps::{Step, exec_steps};
use bulkhead_sys::namespace::{self, Kinds};
use bulkhead_sys::root::Root;
use bulkhead_sys::seccomp::Program;
use bulkhead_sys::socket::Channel;
use bulkhead_sys::{process, spawn};
use bulkhead_types::ErrorClass;
use rustix::io::Errno;

use crate::cell::{Cell, Tenant};
use crate::devices::Nodes;
use crate::failure::{StepFailed, gone};
use crate::launch::{give_pipes, kinds, next};
use crate::protocol::{self, Packet};
use crate::scene::{ForeignScene, Role, Scene, Trouble, bits, failure};
use crate::{child, filter, limits, steps};

/// How long a process may take until it executes: milliseconds, but for a host that is very busy.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

impl Cell {
    /// Runs another process inside, in the same namespaces, cgroup, ids, capabilities and filter.
    /// `program` is a static executable of ours for [`Exec::own_program`], best a sealed copy
    /// ([`bulkhead_sys::process::sealed_self`]).
    ///
    /// # Errors
    /// The step that failed.
    pub fn exec(
        &self,
        exec: &Exec,
        stdio: Option<[OwnedFd; 3]>,
        program: Option<OwnedFd>,
    ) -> Result<Tenant, StepFailed> {
        if exec.own_program != program.is_some() {
            let message = "a program of our own needs its descriptor, and only such a one has it";
            return Err(StepFailed::new("exec", ErrorClass::Invalid, message));
        }
        if let Some(stdio) = &stdio {
            give_pipes(&self.plan, stdio)?;
        }
        let own_filter = self.own_filter(exec)?;
        let entry_files = match &self.group {
            Some(group) => group.entry_files().map_err(|error| StepFailed::group(&error))?,
            None => Vec::new(),
        };
        let (ours, theirs) = Channel::pair().map_err(StepFailed::parent("exec"))?;
        let scene = Scene {
            role: Role::Further,
            plan: &self.plan,
            process: &exec.process,
            capabilities: bits(exec.capabilities.as_deref().unwrap_or(&self.plan.capabilities)),
            filter: own_filter.as_ref().or(self.filter.as_ref()),
            channel: &theirs,
            root_mount: None,
            handles: Vec::new(),
            nodes: Nodes::default(),
            entry_files: &entry_files,
            unified_cgroup: false,
            group_views: Vec::new(),
            stdio,
            own_program: program,
            root: None,
            proc: None,
            devpts: None,
            terminal: None,
            account: None,
            lowered: 0,
            foreign: None,
        };
        let (pidfd, pid) = self.clone_into(&ours, scene)?;
        drop(theirs);
        self.follow(exec, &ours, pidfd, pid, Some(self.plan.oom_score_adj))
    }

    /// Runs another process inside for a foreign caller, with ids, sets and settings of its own; it lives on when we end.
    ///
    /// # Errors
    /// The step that failed.
    pub fn enter(&self, process: &Process, own: &ForeignProcess, stdio: [OwnedFd; 3]) -> Result<Tenant, StepFailed> {
        let exec = Exec { process: process.clone(), capabilities: None, own_program: false };
        let entry_files = match &self.group {
            Some(group) => group.entry_files().map_err(|error| StepFailed::group(&error))?,
            None => Vec::new(),
        };
        let (ours, theirs) = Channel::pair().map_err(StepFailed::parent("exec"))?;
        let bounding = own.capabilities.as_ref().and_then(|sets| sets.bounding.as_deref()).unwrap_or_default();
        let scene = Scene {
            role: Role::Further,
            plan: &self.plan,
            process: &exec.process,
            capabilities: bits(bounding),
            filter: self.filter.as_ref(),
            channel: &theirs,
            root_mount: None,
            handles: Vec::new(),
            nodes: Nodes::default(),
            entry_files: &entry_files,
            unified_cgroup: false,
            group_views: Vec::new(),
            stdio: Some(stdio),
            own_program: None,
            root: None,
            proc: None,
            devpts: None,
            terminal: None,
            account: None,
            lowered: 0,
            foreign: Some(ForeignScene { process: Some(own), ..ForeignScene::default() }),
        };
        let (pidfd, pid) = self.clone_into(&ours, scene)?;
        drop(theirs);
        self.follow(&exec, &ours, pidfd, pid, own.oom_score_adj)
    }

    /// A filter of its own if the process has capabilities of its own.
    fn own_filter(&self, exec: &Exec) -> Result<Option<Program>, StepFailed> {
        let (Some(capabilities), Some(_)) = (&exec.capabilities, &self.filter) else { return Ok(None) };
        let compiled = filter::compile(&seccomp::filter(self.plan.level, capabilities));
        compiled.map(Some).map_err(|error| StepFailed::new("filter", ErrorClass::Internal, error.to_string()))
    }

    /// Clones the child into the pid namespace of the cell.
    fn clone_into(&self, ours: &Channel, mut scene: Scene<'_>) -> Result<(OwnedFd, u32), StepFailed> {
        let kinds = kinds(&self.plan);
        let list = exec_steps(&self.plan);
        let into = self.group.as_ref().and_then(Cgroup::clone_into);
        let first = self.first.as_fd();
        let clone = |child: &mut dyn FnMut() -> i32| spawn::isolated(Kinds::NONE, into, ours.as_fd(), child);
        let cloned = match &self.own_pids {
            _ if !kinds.contains(Kinds::PID) => clone(&mut || join_and_run(&mut scene, first, kinds, &list)),
            Some(own_pids) => {
                namespace::enter(first, Kinds::PID).map_err(|_| gone())?;
                let cloned = clone(&mut || join_and_run(&mut scene, first, kinds, &list));
                // Nothing may be started in the wrong namespace: without the way back this process is of no more use.
                namespace::enter_descriptor(own_pids.as_fd()).map_err(StepFailed::parent("exec"))?;
                cloned
            }
            None => clone(&mut || go_between(&mut scene, first, kinds, &list)),
        };
        cloned.map_err(|error| {
            if error.raw() == Errno::NOMEM.raw_os_error() { gone() } else { StepFailed::parent("exec")(error) }
        })
    }

    /// What only the parent may raise or lower, as for the first process. A child that has gone on already, or has ended,
    /// keeps what it has.
    fn raise(&self, exec: &Exec, pid: u32, score: Option<i32>) -> Result<(), StepFailed> {
        limits::raise(pid, &self.plan.process.rlimits);
        limits::raise(pid, &exec.process.rlimits);
        let Some(score) = score else { return Ok(()) };
        match limits::score(pid, score) {
            Err(error) if ![Errno::NOENT, Errno::SRCH].map(Errno::raw_os_error).contains(&error.raw()) => {
                Err(StepFailed::parent("oom-score")(error))
            }
            _ => Ok(()),
        }
    }

    /// Waits until the child has executed, or tells why it has not; then it is gone.
    fn follow(
        &self,
        exec: &Exec,
        ours: &Channel,
        mut pidfd: OwnedFd,
        mut pid: u32,
        score: Option<i32>,
    ) -> Result<Tenant, StepFailed> {
        let mut terminal = None;
        // From its first moment in the pid namespace the container's root can send it SIGSTOP. The monitor, which has
        // other things to do, must not wait for that.
        if let Err(error) = ours.set_receive_timeout(Some(PATIENCE)) {
            drop(process::signal(pidfd.as_fd(), 9));
            drop(process::wait(pidfd.as_fd()));
            return Err(StepFailed::parent("exec")(error));
        }
        let mut raised = if self.own_pids.is_some() { self.raise(exec, pid, score) } else { Ok(()) };
        let ended = loop {
            if let Err(error) = raised {
                break error;
            }
            raised = Ok(());
            match next(ours, &pidfd, &self.plan, &exec.process) {
                Ok(Some(Packet::Terminal(fd))) if terminal.is_none() => terminal = Some(fd),
                Ok(Some(Packet::Born(fd, number))) if self.own_pids.is_none() => {
                    // The go-between has nothing left to do but to end.
                    drop(process::wait(pidfd.as_fd()));
                    (pidfd, pid) = (fd, number);
                    raised = self.raise(exec, pid, score);
                }
                Ok(Some(packet)) => {
                    let message = format!("the child said {} where it had nothing to say", packet.name());
                    break StepFailed::new("protocol", ErrorClass::Internal, message);
                }
                Ok(None) => return Ok(Tenant { pidfd, pid, terminal }),
                Err(error) => break error,
            }
        };
        drop(process::signal(pidfd.as_fd(), 9));
        drop(process::wait(pidfd.as_fd()));
        Err(ended)
    }
}

/// Joins the rest of the namespaces and goes through the steps.
fn join_and_run(scene: &mut Scene<'_>, first: BorrowedFd<'_>, kinds: Kinds, list: &[Step]) -> i32 {
    match join(scene, first, kinds.without(Kinds::PID)) {
        Ok(()) => child::run(list.iter().filter(|step| !JOINING.contains(step)), scene),
        Err(trouble) => tell(scene, trouble),
    }
}

/// The steps that [`join`] does itself, before it is inside.
const JOINING: [Step; 2] = [Step::DieWithParent, Step::EnterCgroup];

/// The protections of the first steps come before: from the moment we are in the pid namespace the container sees us.
/// The cgroup is entered from outside, while its files are still ours.
fn join(scene: &mut Scene<'_>, first: BorrowedFd<'_>, kinds: Kinds) -> Result<(), Trouble> {
    for step in JOINING {
        steps::run(step, scene)?;
    }
    namespace::enter(first, kinds)?;
    scene.root = Some(Root::open_trusted(std::path::Path::new("/"))?);
    Ok(())
}

/// Where the monitor could not come back from the pid namespace (rootless), a process in between enters it, clones the
/// real one as a child of the monitor, and hands over its pidfd.
fn go_between(scene: &mut Scene<'_>, first: BorrowedFd<'_>, kinds: Kinds, list: &[Step]) -> i32 {
    let cloned = steps::run(Step::DieWithParent, scene)
        .and_then(|()| Ok(namespace::enter(first, Kinds::PID)?))
        .and_then(|()| Ok(spawn::sibling(|| join_and_run(scene, first, kinds, list))?));
    let told = cloned.and_then(|(pidfd, pid)| scene.say(&Packet::Born(pidfd, pid)));
    told.map_or_else(|trouble| tell(scene, trouble), |()| 0)
}

fn tell(scene: &Scene<'_>, trouble: Trouble) -> i32 {
    drop(protocol::send(scene.channel, &Packet::StepFailed(failure(Step::AssumeRoot, trouble))));
    125
}
