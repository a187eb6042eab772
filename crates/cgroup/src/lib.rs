//! Control groups: create, limit, join, freeze, count, kill, remove; versions 1, 2 and hybrid behind one type.
//!
//! * **Is:** file writes below the mounted hierarchies, found from `/proc/self/mountinfo`.
//! * **Must never know:** why a limit is wanted.
//! * **Invariants:** a limit that was asked for and could not be set is an error, never a silent gap.
//! * **Tests:** `contract.rs`, run on each version that the machine has.

mod counters;
mod devices;
mod error;
mod file;
mod layout;
mod limits;
mod make;
mod model;

#[cfg(test)]
mod contract;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use bulkhead_types::ErrorClass;
use rustix::event::EventfdFlags;
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal};

pub use error::Error;
pub use model::{Counters, DeviceRule, Limits, Throttle};

use file::Group;
use layout::{Controller, Controllers, Layout};

/// How long a kill or a freeze may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// The group's directory in one hierarchy.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) group: Group,
    pub(crate) controllers: Controllers,
    pub(crate) v2: bool,
}

/// One group in every hierarchy that matters.
#[derive(Debug)]
pub struct Cgroup {
    path: String,
    branches: Vec<Branch>,
    /// Where [`Cgroup::update`] makes the processor set that was left out at the creation.
    spare_cpuset: Option<(String, Controllers)>,
    warnings: Vec<String>,
}

impl Cgroup {
    /// Creates the group `path` (for example `/bulkhead/ID`) and applies limits and the device allow-list (default
    /// deny). On failure nothing is left behind. An empty group of that name, which only a crash leaves, is replaced.
    ///
    /// # Errors
    /// With the cure, if a hierarchy or controller that a limit needs is missing or not writable.
    pub fn create(path: &str, limits: &Limits, devices: &[DeviceRule]) -> Result<Self, Error> {
        check_path(path)?;
        Self::create_in(&Layout::discover()?, path, limits, devices)
    }

    fn create_in(layout: &Layout, path: &str, limits: &Limits, devices: &[DeviceRule]) -> Result<Self, Error> {
        let mut group = Self::empty(path);
        match group.fill(layout, limits, devices) {
            Ok(()) => Ok(group),
            Err(mut error) => {
                if let Err(second) = group.remove() {
                    error.message = format!("{}; and afterwards: {second}", error.message);
                }
                Err(error)
            }
        }
    }

    fn empty(path: &str) -> Self {
        Self { path: path.to_owned(), branches: Vec::new(), spare_cpuset: None, warnings: Vec::new() }
    }

    fn fill(&mut self, layout: &Layout, limits: &Limits, devices: &[DeviceRule]) -> Result<(), Error> {
        let wants_cpuset = limits.cpuset_cpus.is_some() || limits.cpuset_mems.is_some();
        for v1 in &layout.v1 {
            // A set of its own costs time at each start and is worth nothing without a limit; `update` adds it.
            if wants_cpuset || !v1.controllers.is_only(Controller::Cpuset) {
                self.branches.push(make::v1(&v1.mount, &self.path, v1.controllers)?);
            } else {
                self.spare_cpuset = Some((v1.mount.clone(), v1.controllers));
            }
        }
        if let Some(mount) = &layout.v2
            && (layout.v1.is_empty() || !make::v2_controllers(mount).is_empty())
        {
            self.branches.push(make::v2(mount, &self.path)?);
        }
        if self.branches.is_empty() {
            return Err(Error::new(
                ErrorClass::Unsupported,
                "this host has no cgroup file system mounted, so nothing can be limited; mount one (systemd and \
                 cgroupfs-mount do) or run rootless",
            ));
        }
        self.warnings = limits::apply(self, limits, true)?;
        self.allow(devices)
    }

    fn allow(&self, devices: &[DeviceRule]) -> Result<(), Error> {
        if let Some(branch) = self.branch(Controller::Devices) {
            return devices::apply_v1(&branch.group, devices);
        }
        match self.branches.iter().find(|branch| branch.v2) {
            Some(branch) => devices::apply_v2(&branch.group, devices),
            None => Err(Error::missing("the use of devices", "devices", "nothing: it is always on")),
        }
    }

    /// Opens an existing group.
    ///
    /// # Errors
    /// If it does not exist.
    pub fn open(path: &str) -> Result<Self, Error> {
        check_path(path)?;
        let layout = Layout::discover()?;
        let mut opened = Self::empty(path);
        for v1 in layout.v1 {
            if let Ok(group) = Group::open(format!("{}{path}", v1.mount)) {
                opened.branches.push(Branch { group, controllers: v1.controllers, v2: false });
            } else if v1.controllers.is_only(Controller::Cpuset) {
                opened.spare_cpuset = Some((v1.mount, v1.controllers));
            }
        }
        if let Some(Ok(group)) = layout.v2.map(|mount| Group::open(format!("{mount}{path}"))) {
            let controllers = make::v2_controllers(&group.path);
            opened.branches.push(Branch { group, controllers, v2: true });
        }
        if opened.branches.is_empty() {
            return Err(Error::new(ErrorClass::NotFound, format!("there is no cgroup {path}")));
        }
        Ok(opened)
    }

    /// What could not be enforced although it was only a default; one sentence each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(crate) fn branch(&self, controller: Controller) -> Option<&Branch> {
        self.branches.iter().find(|branch| branch.controllers.has(controller))
    }

    /// Descriptors for a child to enter by itself: on v1 the `tasks` files, to each of which it writes `0` (a grace
    /// period cheaper than the parent's `cgroup.procs`); empty on pure v2.
    ///
    /// # Errors
    /// If a file cannot be opened.
    pub fn entry_files(&self) -> Result<Vec<OwnedFd>, Error> {
        let v1 = self.branches.iter().filter(|branch| !branch.v2);
        v1.map(|branch| branch.group.file("tasks", OFlags::WRONLY)).collect()
    }

    /// The group's directory in each version 1 hierarchy, with the name of that hierarchy's mount point (`memory`,
    /// `cpu,cpuacct`): what a read-only view of the own limits is made of.
    pub fn directories(&self) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        self.branches.iter().filter(|branch| !branch.v2).filter_map(|branch| {
            let mount = branch.group.path.strip_suffix(&self.path)?;
            Some((mount.rsplit('/').next()?, branch.group.dir.as_fd()))
        })
    }

    /// Directory for `clone3(CLONE_INTO_CGROUP)`, where version 2 has the controllers.
    #[must_use]
    pub fn clone_into(&self) -> Option<BorrowedFd<'_>> {
        self.branches.iter().find(|branch| branch.v2).map(|branch| branch.group.dir.as_fd())
    }

    /// Changes what is `Some` in `limits`.
    ///
    /// # Errors
    /// If the kernel refuses a value.
    pub fn update(&self, limits: &Limits) -> Result<(), Error> {
        let wants_cpuset = limits.cpuset_cpus.is_some() || limits.cpuset_mems.is_some();
        if !wants_cpuset || self.branch(Controller::Cpuset).is_some() {
            return limits::apply(self, limits, false).map(drop);
        }
        // The set was left out at the creation: make it now, fill it, move everybody in.
        let spare = self.spare_cpuset.as_ref();
        let (mount, controllers) =
            spare.ok_or_else(|| Error::missing("the set of processors", "cpuset", "--cpuset-cpus"))?;
        let branch = match Group::open(format!("{mount}{}", self.path)) {
            Ok(group) => Branch { group, controllers: *controllers, v2: false },
            Err(_) => make::v1(mount, &self.path, *controllers)?,
        };
        let mut set = Self::empty(&self.path);
        set.branches.push(branch);
        let only_set = Limits {
            cpuset_cpus: limits.cpuset_cpus.clone(),
            cpuset_mems: limits.cpuset_mems.clone(),
            ..Limits::default()
        };
        limits::apply(&set, &only_set, false)?;
        set.take_over(&self.processes()?);
        limits::apply(self, &Limits { cpuset_cpus: None, cpuset_mems: None, ..limits.clone() }, false).map(drop)
    }

    /// Moves processes in; one that has ended meanwhile cannot be moved and need not be.
    fn take_over(&self, pids: &[u32]) {
        for branch in &self.branches {
            for pid in pids {
                let moved = branch.group.try_write("cgroup.procs", &pid.to_string());
                debug_assert!(moved.is_ok() || moved == Err(rustix::io::Errno::SRCH));
            }
        }
    }

    /// Freezes or thaws and waits until it is so.
    ///
    /// # Errors
    /// If there is no freezer.
    pub fn freeze(&self, frozen: bool) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        let (group, file, value) = self.freezer(frozen)?;
        group.write(file, value)?;
        let mut looks = 0u32;
        while !self.is_frozen(frozen)? {
            looks += 1;
            // Version 1 stays at FREEZING for ever if a process was just being made (its parent sleeps in vfork and its
            // child never gets to run): writing again catches new ones, and letting go for a moment frees the parent.
            if frozen && looks.is_multiple_of(8) {
                if looks.is_multiple_of(40) {
                    self.thaw()?;
                    std::thread::sleep(Duration::from_millis(2));
                }
                group.write(file, value)?;
            }
            if Instant::now() >= deadline {
                // Half frozen is worse than running.
                if frozen {
                    self.thaw()?;
                }
                return Err(Error::new(
                    ErrorClass::Unavailable,
                    format!("the processes in {} did not stop within a second; try again", group.path),
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn thaw(&self) -> Result<(), Error> {
        let (group, file, value) = self.freezer(false)?;
        group.write(file, value)
    }

    fn freezer(&self, frozen: bool) -> Result<(&Group, &'static str, &'static str), Error> {
        if let Some(branch) = self.branch(Controller::Freezer) {
            return Ok((&branch.group, "freezer.state", if frozen { "FROZEN" } else { "THAWED" }));
        }
        let v2 = self.branches.iter().find(|branch| branch.v2);
        let branch = v2.ok_or_else(|| Error::missing("a pause", "freezer", "pause"))?;
        Ok((&branch.group, "cgroup.freeze", if frozen { "1" } else { "0" }))
    }

    fn is_frozen(&self, frozen: bool) -> Result<bool, Error> {
        let (group, file, value) = self.freezer(frozen)?;
        if file == "freezer.state" {
            return Ok(group.read(file)?.trim() == value);
        }
        Ok(group.keyed("cgroup.events", "frozen") == Some(u64::from(frozen)))
    }

    /// All process ids, child groups included.
    ///
    /// # Errors
    /// If the group is gone.
    pub fn processes(&self) -> Result<Vec<u32>, Error> {
        // Every process is in all hierarchies, or on its way through them from the first.
        match self.branches.first() {
            Some(branch) => make::processes_below(&branch.group),
            None => Ok(Vec::new()),
        }
    }

    /// Counters as of now.
    ///
    /// # Errors
    /// If the group is gone.
    pub fn counters(&self) -> Result<Counters, Error> {
        match self.branches.first() {
            Some(branch) if !branch.group.exists("cgroup.procs") => {
                Err(Error::new(ErrorClass::NotFound, format!("the cgroup {} is gone", branch.group.path)))
            }
            _ => Ok(counters::read(self)),
        }
    }

    /// Only the counters that explain an end: `oom_kills`, `pids_refused` and, where one was hit, its limit.
    #[must_use]
    pub fn hits(&self) -> Counters {
        counters::read_hits(self)
    }

    /// A descriptor that tells of each kill for lack of memory: readable (version 1, an eventfd to be read) or
    /// exceptional (`EPOLLPRI`, version 2). `None` without a memory controller.
    ///
    /// # Errors
    /// If the kernel refuses the registration.
    pub fn oom_notice(&self) -> Result<Option<OomNotice>, Error> {
        let Some(branch) = self.branch(Controller::Memory) else { return Ok(None) };
        if branch.v2 {
            return Ok(Some(OomNotice { fd: branch.group.file("memory.events", OFlags::RDONLY)?, v2: true }));
        }
        use std::os::fd::AsRawFd as _;
        let control = branch.group.file("memory.oom_control", OFlags::RDONLY)?;
        let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| Error::file("make an eventfd for", &branch.group.path, errno))?;
        let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
        branch.group.write("cgroup.event_control", &line)?;
        Ok(Some(OomNotice { fd: event, v2: false }))
    }

    /// Kills everything in it (`cgroup.kill`, or freeze, signal, thaw on v1) and waits for emptiness.
    ///
    /// # Errors
    /// If processes survive for longer than a second.
    pub fn kill(&self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let pids = self.processes()?;
            if pids.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::new(
                    ErrorClass::Internal,
                    format!("the processes {pids:?} in the cgroup {} did not die of SIGKILL", self.path),
                ));
            }
            self.kill_once(&pids)?;
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    fn kill_once(&self, pids: &[u32]) -> Result<(), Error> {
        let v2 = self.branches.iter().find(|branch| branch.v2);
        if let Some(branch) = v2
            && branch.group.try_write("cgroup.kill", "1").is_ok()
        {
            return Ok(());
        }
        // Frozen, nobody forks away from the list. A freezer that does not get there must not save anybody.
        let frozen = self.freeze(true).is_ok();
        let pids = if frozen { self.processes()? } else { pids.to_vec() };
        for pid in pids {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            match pid.map(|pid| rustix::process::kill_process(pid, Signal::KILL)) {
                None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => {}
                Some(Err(errno)) => return Err(Error::file("kill a process of", &self.path, errno)),
            }
        }
        // A frozen process dies only when it is thawed.
        if self.freezer(false).is_ok() { self.thaw() } else { Ok(()) }
    }

    /// Removes the group and those below it in every hierarchy. A group that is gone already is no error.
    ///
    /// # Errors
    /// If it is still in use.
    pub fn remove(self) -> Result<(), Error> {
        let mut first = None;
        for branch in &self.branches {
            if let Err(error) = make::remove_tree(&branch.group.path) {
                first.get_or_insert(error);
            }
        }
        if let Some((mount, _)) = &self.spare_cpuset
            && let Err(error) = make::remove_tree(&format!("{mount}{}", self.path))
        {
            first.get_or_insert(error);
        }
        first.map_or(Ok(()), Err)
    }
}

/// See [`Cgroup::oom_notice`].
#[derive(Debug)]
pub struct OomNotice {
    /// Poll this one.
    pub fd: OwnedFd,
    /// For `EPOLLPRI` instead of `EPOLLIN`.
    pub v2: bool,
}

fn check_path(path: &str) -> Result<(), Error> {
    let mut words = path.split('/');
    let absolute = words.next() == Some("");
    if absolute && words.clone().count() > 0 && words.all(|word| !word.is_empty() && word != "." && word != "..") {
        return Ok(());
    }
    Err(Error::new(
        ErrorClass::Invalid,
        format!("the cgroup path {path:?} is not allowed: give an absolute one without empty, . and .. parts"),
    ))
}
