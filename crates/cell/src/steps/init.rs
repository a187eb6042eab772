//! `--init`: forks. Pid 1 stays behind to reap orphans and to forward signals; its child goes on and executes.
//!
//! *Why here:* the filter is loaded, so it holds both. Pid 1 keeps no descriptor, cannot be traced, and has the rights of
//! the container's user only.

use bulkhead_sys::process::{self, Ended};
use bulkhead_sys::spawn;
use rustix::io::Errno;
use rustix::process::Signal;

use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    // Blocked before the fork: none may get lost between it and the loop.
    process::set_signal_mask(true);
    let child = spawn::fork()?;
    if child != 0 {
        watch(child)
    }
    lead_foreground(scene.terminal.is_some())?;
    process::set_signal_mask(false);
    Ok(())
}

/// A process group of its own for the program, so that a key on the terminal reaches it once and not twice.
fn lead_foreground(terminal: bool) -> Outcome {
    let own = rustix::process::getpid();
    rustix::process::setpgid(None, None).map_err(|errno| Trouble::new("setpgid", "", errno))?;
    if terminal {
        rustix::termios::tcsetpgrp(rustix::stdio::stdin(), own)
            .map_err(|errno| Trouble::new("tcsetpgrp", "", errno))?;
    }
    Ok(())
}

/// Pid 1 for the rest of the container's life.
fn watch(child: u32) -> ! {
    process::close_everything();
    // What `ps` shows inside; a refusal of the filter would change nothing else.
    rustix::thread::set_name(c"init").ok();
    loop {
        let signal = process::next_signal();
        let gone = || process::signal_child(child, signal).is_err_and(|e| e.raw() == Errno::SRCH.raw_os_error());
        if signal == Signal::CHILD.as_raw() || gone() {
            reap(child);
        }
    }
}

/// Reaps everything that has ended; with the program itself the container ends.
fn reap(child: u32) {
    while let Ok(Some((pid, ended))) = process::reap_any() {
        if pid == child {
            process::exit_now(match ended {
                Ended::Code(code) => i32::from(code),
                Ended::Signal(signal) => 128 + i32::from(signal),
            });
        }
    }
}
