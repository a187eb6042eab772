//! Programs of a foreign caller, run one after the other with the container's state on their standard input.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use bulkhead_plan::foreign::Hook;
use bulkhead_sys::process;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::MemfdFlags;
use rustix::time::Timespec;

/// How much of a failed hook's words is passed on.
const WORDS: usize = 2048;

/// Runs them in their order and stops at the first that fails.
///
/// # Errors
/// A sentence that names the hook by its number and path.
pub fn run(hooks: Option<&[Hook]>, moment: &str, state: &str) -> Result<(), String> {
    for (index, hook) in hooks.unwrap_or_default().iter().enumerate() {
        run_one(hook, state).map_err(|why| format!("hooks.{moment}[{index}] {}: {why}", hook.path))?;
    }
    Ok(())
}

fn run_one(hook: &Hook, state: &str) -> Result<(), String> {
    // A file and no pipe: a hook that leaves a daemon behind must not keep us waiting for the end of its words.
    let words = rustix::fs::memfd_create("hook", MemfdFlags::CLOEXEC).map_err(|errno| format!("memfd: {errno}"))?;
    let copy = words.try_clone().map_err(|error| error.to_string())?;
    let mut command = Command::new(&hook.path);
    let args = hook.args.as_deref().unwrap_or_default();
    command.arg0(args.first().unwrap_or(&hook.path)).args(args.iter().skip(1)).env_clear();
    for entry in hook.env.as_deref().unwrap_or_default() {
        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
        command.env(key, value);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::from(copy));
    let mut child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read its input is no failure.
        input.write_all(state.as_bytes()).ok();
    }
    let ended = wait(&mut child, hook.timeout)?;
    if ended.success() {
        return Ok(());
    }
    let mut buffer = [0u8; WORDS];
    let length = rustix::io::pread(&words, &mut buffer, 0).unwrap_or(0);
    let said = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).trim().to_owned();
    Err(format!("{ended}{}{said}", if said.is_empty() { "" } else { ": " }))
}

fn wait(child: &mut Child, timeout: Option<u32>) -> Result<std::process::ExitStatus, String> {
    if let Some(seconds) = timeout {
        let pidfd = process::open(child.id()).map_err(|error| error.to_string())?;
        let limit = Timespec { tv_sec: i64::from(seconds), tv_nsec: 0 };
        let mut watched = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        let ready = rustix::io::retry_on_intr(|| rustix::event::poll(&mut watched, Some(&limit)));
        if ready == Ok(0) {
            child.kill().map_err(|error| error.to_string())?;
            child.wait().map_err(|error| error.to_string())?;
            return Err(format!("it took longer than its timeout of {seconds} s and was killed"));
        }
    }
    child.wait().map_err(|error| error.to_string())
}
