//! Kinds of namespaces, and entering those of another process by its pidfd.

use std::fmt;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use linux_raw_sys::general as kernel;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::ThreadNameSpaceType;

use crate::raw::process as raw;
use crate::{Result, SysError};

/// A set of namespace kinds (`namespaces(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u32);

impl Kinds {
    /// No kind.
    pub const NONE: Self = Self(0);
    /// Users and capabilities.
    pub const USER: Self = Self(kernel::CLONE_NEWUSER);
    /// Mounts.
    pub const MOUNT: Self = Self(kernel::CLONE_NEWNS);
    /// Process ids.
    pub const PID: Self = Self(kernel::CLONE_NEWPID);
    /// Network.
    pub const NETWORK: Self = Self(kernel::CLONE_NEWNET);
    /// System V and POSIX queues.
    pub const IPC: Self = Self(kernel::CLONE_NEWIPC);
    /// Host name.
    pub const UTS: Self = Self(kernel::CLONE_NEWUTS);
    /// View of the cgroup tree.
    pub const CGROUP: Self = Self(kernel::CLONE_NEWCGROUP);
    /// Clock offsets.
    pub const TIME: Self = Self(kernel::CLONE_NEWTIME);

    const NAMES: [(Self, &'static str); 8] = [
        (Self::USER, "user"),
        (Self::MOUNT, "mount"),
        (Self::PID, "pid"),
        (Self::NETWORK, "network"),
        (Self::IPC, "ipc"),
        (Self::UTS, "uts"),
        (Self::CGROUP, "cgroup"),
        (Self::TIME, "time"),
    ];

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// `other` as well, if `wanted`.
    #[must_use]
    pub const fn with_if(self, wanted: bool, other: Self) -> Self {
        if wanted { self.with(other) } else { self }
    }

    /// Without the kinds of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True if all kinds of `other` are in it.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The kernel's `CLONE_NEW…` bits.
    #[must_use]
    pub fn bits(self) -> u64 {
        u64::from(self.0)
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (kind, name) in Self::NAMES {
            if self.contains(kind) {
                write!(formatter, "{separator}{name}")?;
                separator = "+";
            }
        }
        Ok(())
    }
}

/// Enters namespaces of the process behind a pidfd, all or none (`setns(2)`). The pid namespace counts for children only.
///
/// # Errors
/// The kernel's; `ESRCH` if the process is gone.
pub fn enter(pidfd: BorrowedFd<'_>, kinds: Kinds) -> Result<()> {
    rustix::thread::move_into_thread_name_spaces(pidfd, ThreadNameSpaceType::from_bits_retain(kinds.0))
        .map_err(|errno| SysError::new("setns", kinds.to_string(), errno))
}

/// Enters the one namespace that a descriptor of `/proc/PID/ns` stands for.
///
/// # Errors
/// The kernel's.
pub fn enter_descriptor(namespace: BorrowedFd<'_>) -> Result<()> {
    rustix::thread::move_into_link_name_space(namespace, None)
        .map_err(|errno| SysError::new("setns", "namespace descriptor", errno))
}

/// A new cgroup namespace whose root is the group of now.
///
/// # Errors
/// The kernel's.
pub fn new_cgroup_namespace() -> Result<()> {
    raw::unshare(kernel::CLONE_NEWCGROUP).map_err(|errno| SysError::new("unshare", "cgroup", errno))
}

/// A new time namespace for the children of this process; its clocks can be set until the first of them exists.
///
/// # Errors
/// The kernel's.
pub fn new_time_namespace() -> Result<()> {
    raw::unshare(kernel::CLONE_NEWTIME).map_err(|errno| SysError::new("unshare", "time", errno))
}

/// A new user namespace, without ids until somebody writes its maps, and a new mount namespace of it.
///
/// # Errors
/// `EINVAL` if the process has more than one thread, `EPERM` or `ENOSPC` where users may not make any.
pub fn new_user_and_mount_namespace() -> Result<()> {
    raw::unshare(kernel::CLONE_NEWUSER | kernel::CLONE_NEWNS)
        .map_err(|errno| SysError::new("unshare", "user and mount", errno))
}

/// Sets the loopback interface of the current network namespace up.
///
/// # Errors
/// The kernel's.
pub fn loopback_up() -> Result<()> {
    let fail = |errno: std::io::Error| SysError::new("ioctl", "SIOCSIFFLAGS lo", errno);
    let socket: OwnedFd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(|errno| SysError::new("socket", "unix", errno))?;
    raw::loopback_up(socket.as_fd()).map_err(fail)
}
