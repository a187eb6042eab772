//! Puts standard input, output and error onto 0, 1 and 2; a terminal becomes the controlling one.
//!
//! *Why here:* before the ids change, so that a pipe can be given to the final user.

use std::os::fd::{AsFd as _, BorrowedFd};

use bulkhead_sys::terminal;
use rustix::io::Errno;

use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    if let Some(opened) = &scene.terminal {
        let line = opened.line.as_fd();
        terminal::take_control(line)?;
        return onto([line, line, line]);
    }
    let stdio = scene.stdio.take().ok_or_else(|| Trouble::new("stdio", "missing", Errno::BADF))?;
    // A source below 3 could be covered before it is used.
    let lift = |fd: &std::os::fd::OwnedFd| {
        rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(|errno| Trouble::new("fcntl", "F_DUPFD_CLOEXEC", errno))
    };
    let [input, output, error] = &stdio;
    let (input, output, error) = (lift(input)?, lift(output)?, lift(error)?);
    onto([input.as_fd(), output.as_fd(), error.as_fd()])?;
    // Closing these would close what may now be 0, 1 or 2.
    std::mem::forget(stdio);
    Ok(())
}

fn onto([input, output, error]: [BorrowedFd<'_>; 3]) -> Outcome {
    let fail = |errno| Trouble::new("dup2", "standard streams", errno);
    rustix::stdio::dup2_stdin(input).map_err(fail)?;
    rustix::stdio::dup2_stdout(output).map_err(fail)?;
    rustix::stdio::dup2_stderr(error).map_err(fail)
}
