//! What the steps share: the plan, what the parent prepared, and what earlier steps have made.

use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_plan::foreign::ForeignProcess;
use bulkhead_plan::steps::Step;
use bulkhead_plan::{Capability, IsolationPlan, Process};
use bulkhead_sys::root::Root;
use bulkhead_sys::seccomp::Program;
use bulkhead_sys::socket::Channel;
use bulkhead_sys::terminal::Terminal;
use bulkhead_sys::{SysError, privilege};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::accounts::Account;
use crate::devices::Nodes;
use crate::protocol::{self, Packet, Received};

/// Whether this is the first process of a cell, which builds it, or a further one, which joins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It builds.
    First,
    /// It joins.
    Further,
}

/// Everything that the child works with.
pub struct Scene<'a> {
    /// First or further.
    pub role: Role,
    /// What is built.
    pub plan: &'a IsolationPlan,
    /// What is executed in the end.
    pub process: &'a Process,
    /// Bounding set, and permitted and effective set of root, as bits.
    pub capabilities: u64,
    /// The compiled filter.
    pub filter: Option<&'a Program>,
    /// To the parent.
    pub channel: &'a Channel,
    /// The detached root mount; gone once attached.
    pub root_mount: Option<OwnedFd>,
    /// What the plan's mounts index into.
    pub handles: Vec<Option<OwnedFd>>,
    /// The prepared `/dev`.
    pub nodes: Nodes,
    /// `tasks` files of version 1 groups.
    pub entry_files: &'a [OwnedFd],
    /// True if the group is one of version 2.
    pub unified_cgroup: bool,
    /// Detached mounts of the container's own directory of version 1 hierarchies, for a view of its limits.
    pub group_views: Vec<(String, OwnedFd)>,
    /// Descriptors for 0, 1 and 2.
    pub stdio: Option<[OwnedFd; 3]>,
    /// A static executable of ours in place of a program of the image.
    pub own_program: Option<OwnedFd>,
    /// The root, once it is attached.
    pub root: Option<Root>,
    /// The private procfs: its root, opened before anything inside could cover it.
    pub proc: Option<OwnedFd>,
    /// The devpts instance.
    pub devpts: Option<OwnedFd>,
    /// Both ends of the terminal.
    pub terminal: Option<Terminal>,
    /// Who the process runs as.
    pub account: Option<Account>,
    /// Bits of resource limits that had to be lowered.
    pub lowered: u32,
    /// What a foreign caller's process needs besides.
    pub foreign: Option<ForeignScene<'a>>,
}

/// The state of a foreign caller's container as text, by pid and status.
pub type State<'a> = &'a dyn Fn(u32, &str) -> String;

/// The part of the scene that only a foreign caller's process has.
#[derive(Default)]
pub struct ForeignScene<'a> {
    /// Ids, sets and settings of this process; those of the plan for the first one.
    pub process: Option<&'a ForeignProcess>,
    /// Namespaces to enter, the user namespace first.
    pub joined: Vec<OwnedFd>,
    /// One for each of the plan's mounts; what has to be bound, made by the parent.
    pub mounts: Vec<Option<OwnedFd>>,
    /// What hooks are told on their standard input.
    pub state: Option<State<'a>>,
    /// Where the starter connects to.
    pub listener: Option<OwnedFd>,
    /// The starter.
    pub starter: Option<Channel>,
    /// The program, found before the start.
    pub program: Option<std::ffi::CString>,
}

/// Why a step could not be done.
#[derive(Debug)]
pub struct Trouble {
    /// Index of the mount, path, … it was about.
    pub index: u32,
    /// errno.
    pub errno: i32,
    /// Call and object.
    pub detail: String,
}

impl From<SysError> for Trouble {
    fn from(error: SysError) -> Self {
        Self { index: 0, errno: error.raw(), detail: format!("{} {}", error.call, error.object) }
    }
}

impl Trouble {
    /// From an errno, with the call and the object it was about.
    pub fn new(call: &'static str, object: &str, errno: Errno) -> Self {
        Self { index: 0, errno: errno.raw_os_error(), detail: format!("{call} {object}") }
    }

    /// The same about the thing with this index.
    pub fn at(mut self, index: usize) -> Self {
        self.index = u32::try_from(index).unwrap_or(u32::MAX);
        self
    }
}

/// What a step comes back with.
pub type Outcome = Result<(), Trouble>;

impl<'a> Scene<'a> {
    /// To whoever waits for this process: the parent, or the starter once there is one.
    pub fn channel(&self) -> &Channel {
        self.foreign.as_ref().and_then(|foreign| foreign.starter.as_ref()).unwrap_or(self.channel)
    }

    /// What a foreign caller gives this process.
    pub fn foreign_process(&self) -> Option<&'a ForeignProcess> {
        self.foreign.as_ref().and_then(|foreign| foreign.process)
    }

    /// True if this process is to live on when its parent ends.
    pub const fn outlives_parent(&self) -> bool {
        self.foreign.is_some()
    }

    /// The root; an error before `attach-root`.
    pub fn root(&self) -> Result<&Root, Trouble> {
        self.root.as_ref().ok_or_else(|| Trouble::new("root", "not attached yet", Errno::BADF))
    }

    /// Capabilities as the final user has them: those of the plan for root, none for others.
    pub fn final_capabilities(&self) -> u64 {
        if let Some(process) = self.foreign_process() {
            let sets = process.capabilities.as_ref();
            return bits(sets.and_then(|sets| sets.permitted.as_deref()).unwrap_or_default());
        }
        let root = self.account.as_ref().is_none_or(|account| account.uid == 0);
        if root { self.capabilities } else { 0 }
    }

    /// True if the filter has to be loaded with `CAP_SYS_ADMIN`, because new privileges were conceded.
    pub fn filter_needs_rights(&self) -> bool {
        let negotiated = self.foreign_process().map_or(self.plan.no_new_privs, |process| process.no_new_privs);
        self.filter.is_some() && !negotiated
    }

    /// Waits for the parent's word.
    pub fn expect(&self, wanted: &Packet) -> Outcome {
        match protocol::receive(self.channel())? {
            Received::Packet(packet) if packet.name() == wanted.name() => Ok(()),
            Received::End => end_unwatched(),
            _ => Err(Trouble::new("receive", wanted.name(), Errno::PROTO)),
        }
    }

    /// Tells the parent.
    pub fn say(&self, packet: &Packet) -> Outcome {
        Ok(protocol::send(self.channel(), packet)?)
    }

    /// Ends this process if the parent is gone.
    pub fn parent_lives(&self) -> Outcome {
        let mut watched = [PollFd::from_borrowed_fd(self.channel.as_fd(), PollFlags::IN)];
        rustix::event::poll(&mut watched, Some(&rustix::time::Timespec::default()))
            .map_err(|errno| Trouble::new("poll", "channel", errno))?;
        let gone = watched.iter().any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR));
        if gone { end_unwatched() } else { Ok(()) }
    }

    /// Puts the protections back that a change of ids takes away.
    pub fn guard_again(&self) -> Outcome {
        privilege::hide_from_tracing()?;
        if self.outlives_parent() {
            return Ok(());
        }
        privilege::die_with_parent()?;
        self.parent_lives()
    }
}

/// The parent is gone: nobody wants to hear of it, and nothing may go on.
fn end_unwatched() -> Outcome {
    bulkhead_sys::process::exit_now(125)
}

/// Bits of a list of capabilities.
pub fn bits(capabilities: &[Capability]) -> u64 {
    capabilities.iter().fold(0, |bits, capability| bits | 1 << capability.number())
}

/// A failure of this step.
pub fn failure(step: Step, trouble: Trouble) -> protocol::Failure {
    protocol::Failure { step, index: trouble.index, errno: trouble.errno, detail: trouble.detail }
}
