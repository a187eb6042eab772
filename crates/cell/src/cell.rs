//! A built cell, from its monitor's side.

use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_cgroup::Cgroup;
use bulkhead_plan::control::Wall;
use bulkhead_plan::{IsolationPlan, Limits};
use bulkhead_sys::SysError;
use bulkhead_sys::seccomp::Program;
use bulkhead_types::ErrorClass;
use rustix::fs::{CWD, Mode, OFlags};

use crate::failure::{StepFailed, gone};
use crate::{limits, walls};

/// A built cell whose first process runs.
#[derive(Debug)]
pub struct Cell {
    pub(crate) plan: IsolationPlan,
    /// The first process: the way into its namespaces.
    pub(crate) first: OwnedFd,
    pub(crate) first_pid: u32,
    pub(crate) group: Option<Cgroup>,
    pub(crate) filter: Option<Program>,
    /// Our own pid namespace, if we have the right to come back to it (not as root of a user namespace below it).
    pub(crate) own_pids: Option<OwnedFd>,
    warnings: Vec<String>,
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

impl Cell {
    pub(crate) fn new(
        plan: &IsolationPlan,
        first: (OwnedFd, u32),
        group: Option<Cgroup>,
        filter: Option<Program>,
        warnings: Vec<String>,
    ) -> Result<Self, StepFailed> {
        let path = "/proc/self/ns/pid";
        let own_pids = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| StepFailed::parent("go")(SysError::new("open", path, errno)))?;
        // Entering the namespace that one is in changes nothing, and tells whether it is allowed.
        let own_pids = bulkhead_sys::namespace::enter_descriptor(own_pids.as_fd()).is_ok().then_some(own_pids);
        let (first, first_pid) = first;
        Ok(Self { plan: plan.clone(), first, first_pid, group, filter, own_pids, warnings })
    }

    /// A running cell that another program of ours has made for a foreign caller.
    ///
    /// # Errors
    /// If this process's own namespaces cannot be opened.
    pub fn adopt(
        plan: &IsolationPlan,
        first: (OwnedFd, u32),
        group: Option<Cgroup>,
        filter: Option<Program>,
    ) -> Result<Self, StepFailed> {
        Self::new(plan, first, group, filter, Vec::new())
    }

    /// What the user should know: limits that this host made lower. One sentence each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// `O_PATH` descriptor of the root as the first process sees it.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn root(&self) -> Result<OwnedFd, StepFailed> {
        let path = format!("/proc/{}/root", self.first_pid);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path.as_str(), flags, Mode::empty())
            .map_err(|errno| StepFailed::parent("root")(SysError::new("open", path.as_str(), errno)))?;
        // The number may have been reused while we looked: only a living pidfd vouches for it.
        bulkhead_sys::process::signal(self.first.as_fd(), 0).map_err(|_| gone())?;
        Ok(root)
    }

    /// What is in force.
    #[must_use]
    pub fn walls(&self) -> Vec<Wall> {
        walls::list(&self.plan, self.group.is_some())
    }

    /// The cgroup's controls, if it has one.
    #[must_use]
    pub const fn group(&self) -> Option<&Cgroup> {
        self.group.as_ref()
    }

    /// Applies changed limits.
    ///
    /// # Errors
    /// If the kernel refuses a value or there is no cgroup.
    pub fn update(&self, limits: &Limits) -> Result<(), StepFailed> {
        let Some(group) = &self.group else {
            let message =
                "this container has no cgroup, so its limits cannot be changed; start it where one can be had";
            return Err(StepFailed::new("update", ErrorClass::Unsupported, message));
        };
        group.update(&limits::translate(limits)).map_err(|error| StepFailed::group(&error))
    }

    /// Kills what is left and removes the cgroup.
    ///
    /// # Errors
    /// If processes survive.
    pub fn demolish(self) -> Result<(), StepFailed> {
        // With the first process its whole pid namespace goes; ESRCH means that this has happened.
        match bulkhead_sys::process::signal(self.first.as_fd(), 9) {
            Err(error) if error.raw() != rustix::io::Errno::SRCH.raw_os_error() => {
                return Err(StepFailed::parent("demolish")(error));
            }
            _ => {}
        }
        let Some(group) = self.group else { return Ok(()) };
        let killed = group.kill();
        let removed = group.remove();
        killed.and(removed).map_err(|error| StepFailed::group(&error))
    }
}
