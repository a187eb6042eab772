//! Says that everything but the filter is in force, and waits for `Go`. A foreign caller's process waits for a later
//! program of the caller to say so, which connects to a socket that only the host's own user can reach.

use std::os::fd::AsFd as _;

use bulkhead_plan::steps::Step;
use bulkhead_sys::socket;
use rustix::event::{PollFd, PollFlags};

use super::execute;
use crate::protocol::{self, Packet, Received};
use crate::scene::{Outcome, Scene, Trouble, failure};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    if scene.foreign.is_some() {
        // A program that is not there is an error of the creation.
        match execute::program(scene, &scene.process.env) {
            Ok(program) => scene.foreign.iter_mut().for_each(|foreign| foreign.program = Some(program.clone())),
            Err(trouble) => {
                scene.say(&Packet::StepFailed(failure(Step::Execute, trouble)))?;
                bulkhead_sys::process::exit_now(125)
            }
        }
    }
    scene.say(&Packet::Sealed(scene.lowered))?;
    let listener = scene.foreign.as_mut().and_then(|foreign| foreign.listener.take());
    match listener {
        None => scene.expect(&Packet::Go),
        Some(listener) => wait_for_starter(scene, &listener),
    }
}

/// Whoever connects and leaves without a word has changed nothing.
fn wait_for_starter(scene: &mut Scene<'_>, listener: &std::os::fd::OwnedFd) -> Outcome {
    loop {
        let mut watched = [PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut watched, None))
            .map_err(|errno| Trouble::new("poll", "listener", errno))?;
        let Ok(starter) = socket::accept(listener.as_fd()) else { continue };
        starter.set_nonblocking(false)?;
        if let Ok(Received::Packet(Packet::Go)) = protocol::receive(&starter) {
            if let Some(foreign) = &mut scene.foreign {
                foreign.starter = Some(starter);
            }
            return Ok(());
        }
    }
}
