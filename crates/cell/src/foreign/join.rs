//! Namespaces that a foreign caller names by path: which of them the child enters, and which its parent has to, around
//! the clone.

use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_plan::foreign::{Clocks, Foreign, NamespaceKind, Offset};
use bulkhead_sys::namespace::{self, Kinds};
use bulkhead_sys::{Result, SysError};
use bulkhead_types::ErrorClass;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::failure::StepFailed;
use crate::launch::kind;

/// Opened descriptors.
pub struct Namespaces {
    opened: Vec<(NamespaceKind, OwnedFd)>,
    new_users: bool,
}

/// What the parent enters for the moment of the clone.
pub struct Outside(Vec<(NamespaceKind, OwnedFd)>);

/// The user namespace first; the mount namespace last, because paths change with it.
const ORDER: [NamespaceKind; 8] = [
    NamespaceKind::User,
    NamespaceKind::Cgroup,
    NamespaceKind::Ipc,
    NamespaceKind::Network,
    NamespaceKind::Pid,
    NamespaceKind::Time,
    NamespaceKind::Uts,
    NamespaceKind::Mount,
];

impl Namespaces {
    /// Opens what is named.
    ///
    /// # Errors
    /// Names the namespace by its field.
    pub fn open(foreign: &Foreign) -> std::result::Result<Self, StepFailed> {
        let mut opened = Vec::new();
        for kind in ORDER {
            let Some(Some(path)) = foreign.namespace(kind) else { continue };
            let descriptor = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            let descriptor = descriptor.map_err(|errno| {
                let why = std::io::Error::from(errno);
                let message = format!("linux.namespaces: {kind:?} {path}: {why}; name a namespace that exists");
                StepFailed::new("join-namespaces", ErrorClass::Invalid, message)
            })?;
            opened.push((kind, descriptor));
        }
        Ok(Self { opened, new_users: foreign.makes(NamespaceKind::User) })
    }

    /// What the child enters, in order; and what the parent has to: the pid namespace, which counts for children only,
    /// and everything if the child begins in a new user namespace, from which it has no right to the others.
    pub fn split(self) -> (Vec<OwnedFd>, Outside) {
        let parents =
            |kind: NamespaceKind| kind == NamespaceKind::Pid || self.new_users && kind != NamespaceKind::Mount;
        let (outside, inside): (Vec<_>, Vec<_>) = self.opened.into_iter().partition(|(kind, _)| parents(*kind));
        (inside.into_iter().map(|(_, descriptor)| descriptor).collect(), Outside(outside))
    }
}

impl Outside {
    /// Enters, sets clocks, clones, and comes back.
    pub fn around<T>(self, foreign: &Foreign, clone: impl FnOnce(Kinds) -> Result<T>) -> Result<T> {
        let mut kinds = foreign.namespaces.iter().filter(|wish| wish.path.is_none());
        let mut kinds =
            kinds.try_fold(Kinds::NONE, |kinds, wish| Some(kinds.with(kind(wish.kind)))).unwrap_or(Kinds::NONE);
        kinds = kinds.without(Kinds::CGROUP);
        let clocks = foreign.clocks.filter(|_| foreign.makes(NamespaceKind::Time));
        let mut entered: Vec<NamespaceKind> = self.0.iter().map(|(kind, _)| *kind).collect();
        if clocks.is_some() {
            entered.push(NamespaceKind::Time);
            kinds = kinds.without(Kinds::TIME);
        }
        let own = entered.iter().map(|kind| own(*kind)).collect::<Result<Vec<OwnedFd>>>()?;
        let done = self.enter(clocks).and_then(|()| clone(kinds));
        // Nothing else may be started in the wrong place.
        for descriptor in own {
            namespace::enter_descriptor(descriptor.as_fd())?;
        }
        done
    }

    fn enter(&self, clocks: Option<Clocks>) -> Result<()> {
        for (_, descriptor) in &self.0 {
            namespace::enter_descriptor(descriptor.as_fd())?;
        }
        let Some(clocks) = clocks else { return Ok(()) };
        namespace::new_time_namespace()?;
        let line = |name: &str, offset: Option<Offset>| {
            let offset = offset.unwrap_or_default();
            format!("{name} {} {}\n", offset.seconds.unwrap_or(0), offset.nanoseconds.unwrap_or(0))
        };
        let text = line("monotonic", clocks.monotonic) + &line("boottime", clocks.boottime);
        let fail = |errno| SysError::new("write", "timens_offsets", errno);
        let path = "/proc/self/timens_offsets";
        let file = rustix::fs::openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
        rustix::io::write(&file, text.as_bytes()).map_err(fail)?;
        Ok(())
    }
}

fn own(kind: NamespaceKind) -> Result<OwnedFd> {
    let name = match kind {
        NamespaceKind::User => "user",
        NamespaceKind::Mount => "mnt",
        NamespaceKind::Pid => "pid",
        NamespaceKind::Network => "net",
        NamespaceKind::Ipc => "ipc",
        NamespaceKind::Uts => "uts",
        NamespaceKind::Cgroup => "cgroup",
        NamespaceKind::Time => "time",
    };
    let path = format!("/proc/self/ns/{name}");
    rustix::fs::openat(CWD, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| SysError::new("open", path, errno))
}

/// Words for a clone that failed.
pub fn explain(error: &SysError, foreign: &Foreign) -> StepFailed {
    let cure = match Errno::from_raw_os_error(error.raw()) {
        Errno::INVAL if foreign.namespace(NamespaceKind::Time).is_some() => "; is there CONFIG_TIME_NS?",
        Errno::NOSPC => "; the limit of namespaces is reached: raise user.max_*_namespaces below /proc/sys/user",
        Errno::PERM => "; making or entering namespaces was refused: it needs root, or a user namespace in the list",
        Errno::AGAIN => "; the limit of processes is reached: raise ulimit -u or pids.max of this session",
        _ => "",
    };
    StepFailed::new("clone", ErrorClass::Denied, format!("linux.namespaces: {error}{cure}"))
}
