//! Opens the terminal from the container's own devpts, sends its controlling end up, binds the other over
//! `/dev/console`.
//!
//! *Why here:* after the pivot, before paths become read-only. *Attack:* a terminal of the host's devpts is a way back to
//! the host's other terminals; a name in the container's `/dev` can be a link to anything (CVE-2025-52565), so the console
//! is found without following one.

use std::os::fd::AsFd as _;

use bulkhead_sys::root::Root;
use bulkhead_sys::{mount, terminal};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::protocol::Packet;
use crate::scene::{Outcome, Role, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let Some(size) = scene.process.terminal else { return Ok(()) };
    let devpts = match scene.devpts.take() {
        Some(devpts) => devpts,
        None => scene.root()?.open("/dev/pts", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?,
    };
    let opened = terminal::open(devpts.as_fd())?;
    terminal::set_size(opened.controller.as_fd(), size.rows, size.columns)?;
    if scene.role == Role::First {
        bind_console(scene.root()?, &opened.line)?;
    }
    let controller = opened.controller.try_clone().map_err(|_| Trouble::new("dup", "terminal", Errno::MFILE))?;
    scene.say(&Packet::Terminal(controller))?;
    scene.terminal = Some(opened);
    Ok(())
}

fn bind_console(root: &Root, line: &std::os::fd::OwnedFd) -> Outcome {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match rustix::fs::openat2(root.fd(), "/dev/console", flags, Mode::empty(), resolve) {
        Ok(console) => Ok(mount::attach(mount::clone_tree(line.as_fd(), "", false)?.as_fd(), console.as_fd())?),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Trouble::new("openat2", "/dev/console", errno)),
    }
}
