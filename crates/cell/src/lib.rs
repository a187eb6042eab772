//! Carries out a plan: namespaces, cgroup, mounts, filter, exec. Every process of a container is born here.
//!
//! * **Is:** the parent side [`Launch`] and the child side `steps/`, one file a step, run by one loop.
//! * **Must never know:** names, images, networks, where a mount came from.
//! * **Types in:** [`bulkhead_plan::IsolationPlan`] with descriptors. **Types out:** [`Cell`], exit statuses.
//! * **Invariants:** the calling process has one thread; anything but full enforcement stops the start; on failure
//!   nothing is left behind.
//! * **Tests:** `tests/`, as root and as an ordinary user.

pub mod filter;

mod clear;

pub use clear::clear_away;

use std::os::fd::OwnedFd;

use bulkhead_plan::control::{Exec, Wall};
use bulkhead_plan::{IsolationPlan, Limits};
use bulkhead_types::ErrorClass;

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

/// A step that failed, in the child or the parent.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StepFailed {
    /// Name of the step.
    pub step: &'static str,
    /// Class.
    pub class: ErrorClass,
    /// What, why and the cure.
    pub message: String,
    /// 125, or for the last step 126 and 127.
    pub exit_code: u8,
}

/// A built cell whose first process runs.
#[derive(Debug)]
pub struct Cell {
    _private: (),
}

/// A process inside.
#[derive(Debug)]
pub struct Tenant {
    /// Poll it for readability: the process has ended.
    pub pidfd: OwnedFd,
    /// Host pid.
    pub pid: u32,
    /// The controlling end of its terminal.
    pub terminal: Option<OwnedFd>,
}

/// Builds the cell and executes the plan's process: clone, maps, seal, go. Returns when `execve` has succeeded or
/// failed.
///
/// # Errors
/// The step that failed; the cgroup and all processes are gone then.
pub fn launch(materials: Materials<'_>) -> Result<(Cell, Tenant), StepFailed> {
    let _ = materials;
    todo!("walls")
}

impl Cell {
    /// Runs another process inside, in the same namespaces, cgroup, ids, capabilities and filter.
    /// `program` is a static executable of ours for [`Exec::own_program`].
    ///
    /// # Errors
    /// The step that failed.
    pub fn exec(
        &self,
        exec: &Exec,
        stdio: Option<[OwnedFd; 3]>,
        program: Option<OwnedFd>,
    ) -> Result<Tenant, StepFailed> {
        let _ = (exec, stdio, program);
        todo!("walls")
    }

    /// `O_PATH` descriptor of the root as the first process sees it.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn root(&self) -> Result<OwnedFd, StepFailed> {
        todo!("walls")
    }

    /// What is in force.
    #[must_use]
    pub fn walls(&self) -> Vec<Wall> {
        todo!("walls")
    }

    /// The cgroup's controls, if it has one.
    #[must_use]
    pub fn group(&self) -> Option<&bulkhead_cgroup::Cgroup> {
        todo!("walls")
    }

    /// Applies changed limits.
    ///
    /// # Errors
    /// If the kernel refuses a value or there is no cgroup.
    pub fn update(&self, limits: &Limits) -> Result<(), StepFailed> {
        let _ = limits;
        todo!("walls")
    }

    /// Kills what is left and removes the cgroup.
    ///
    /// # Errors
    /// If processes survive.
    pub fn demolish(self) -> Result<(), StepFailed> {
        todo!("walls")
    }
}
