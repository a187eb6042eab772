//! For an ordinary user: the engine enters a user and mount namespace of that user, in which it is root. All below then
//! works as for root, with the user's subordinate ids (`subuid(5)`) for the containers.
//!
//! | this process | its helper, forked before, stays outside |
//! |---|---|
//! | makes both namespaces, writes a byte | waits for it |
//! | waits | runs `newuidmap` and `newgidmap` (set-uid programs) for this process, ends |
//! | is root of its own namespace | – |

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use rustix::mount::MountPropagationFlags;

use crate::host;
use crate::model::{Error, Result};
use bulkhead_types::ErrorClass;

/// Asked once: reading the map is not free on the start path.
static INSIDE: OnceLock<bool> = OnceLock::new();

/// One line of `/etc/subuid`: first id and count.
type Block = (u32, u32);

/// True for root of a user namespace, whether it was entered here or by whoever started us (a monitor).
pub(crate) fn is_inside() -> bool {
    *INSIDE.get_or_init(|| host::is_root() && bulkhead_sys::idmap::is_mapped().unwrap_or(true))
}

/// Enters it, unless this is root already.
///
/// # Errors
/// If the user has no subordinate ids, or the helpers are missing; the text ends with the cure.
pub(crate) fn enter() -> Result<()> {
    if host::is_root() {
        return Ok(());
    }
    let uid = rustix::process::getuid().as_raw();
    let gid = rustix::process::getgid().as_raw();
    let name = user_name(uid);
    let maps = [
        ("newuidmap", arguments(uid, &blocks("/etc/subuid", &name, uid)?)),
        ("newgidmap", arguments(gid, &blocks("/etc/subgid", &name, uid)?)),
    ];
    let pipe = || std::io::pipe().map_err(|error| failed("pipe", &error));
    let ((mut wait, mut go), (mut verdict, mut report)) = (pipe()?, pipe()?);
    let own = std::process::id();
    let helper = bulkhead_sys::spawn::fork()?;
    if helper == 0 {
        drop(go);
        drop(verdict);
        // Nobody went on: nothing is to be done.
        let told = wait.read_exact(&mut [0]).map_or(Ok(()), |()| write_maps(own, &maps));
        if let Err(error) = told {
            // Whoever does not read the reason has gone.
            drop(report.write_all(error.message.as_bytes()));
        }
        std::process::exit(0);
    }
    drop(wait);
    drop(report);
    let entered = unshare();
    if entered.is_ok() {
        go.write_all(&[1]).map_err(|error| failed("pipe", &error))?;
    }
    drop(go);
    let mut reason = String::new();
    verdict.read_to_string(&mut reason).map_err(|error| failed("pipe", &error))?;
    let pid = i32::try_from(helper).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())
        .map_err(|errno| failed("waitpid", &errno.into()))?;
    entered?;
    if reason.is_empty() { Ok(()) } else { Err(Error::new(ErrorClass::Denied, reason)) }
}

fn unshare() -> Result<()> {
    bulkhead_sys::namespace::new_user_and_mount_namespace().map_err(|error| {
        Error::new(
            ErrorClass::Denied,
            format!(
                "this user may not make a user namespace ({error}); the administrator can allow it with: sysctl -w \
                 user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1"
            ),
        )
    })?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(|errno| failed("mount", &errno.into()))
}

fn failed(call: &str, error: &std::io::Error) -> Error {
    Error::internal(format!("entering the user's namespace: {call}: {error}"))
}

/// Root inside is the user, 1 and up are all his subordinate ids.
fn arguments(own: u32, blocks: &[Block]) -> Vec<String> {
    let mut words = vec!["0".to_owned(), own.to_string(), "1".to_owned()];
    let mut next = 1u32;
    for (first, count) in blocks {
        words.extend([next.to_string(), first.to_string(), count.to_string()]);
        next = next.saturating_add(*count);
    }
    words
}

fn write_maps(pid: u32, maps: &[(&str, Vec<String>)]) -> Result<()> {
    for (program, words) in maps {
        let denied = |text: String| Error::new(ErrorClass::Denied, text);
        let output = Command::new(program).arg(pid.to_string()).args(words).output().map_err(|error| {
            denied(format!(
                "{program}: {error}: the programs that give a user his subordinate ids are missing; install them: \
                 apt-get install uidmap"
            ))
        })?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(denied(format!(
                "{program} refused: {}; are /etc/subuid and /etc/subgid right, and is {program} set-uid root?",
                text.trim()
            )));
        }
    }
    Ok(())
}

/// The user's blocks of subordinate ids.
fn blocks(file: &str, name: &str, uid: u32) -> Result<Vec<Block>> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let found = parse(&text, name, uid);
    if !found.is_empty() {
        return Ok(found);
    }
    let option = if Path::new(file).ends_with("subuid") { "--add-subuids" } else { "--add-subgids" };
    Err(Error::new(
        ErrorClass::Denied,
        format!(
            "user {name} has no subordinate ids in {file}, and containers need ids of their own; the administrator can \
             grant some with: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name} (here {option} is \
             missing)"
        ),
    ))
}

/// `name:first:count`, by name or number.
fn parse(text: &str, name: &str, uid: u32) -> Vec<Block> {
    let number = uid.to_string();
    let line = |line: &str| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        if owner != name && owner != number {
            return None;
        }
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (count > 0).then_some((first, count))
    };
    text.lines().filter_map(line).collect()
}

/// From `/etc/passwd`; name service modules are never loaded.
fn user_name(uid: u32) -> String {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = uid.to_string();
    let found = text.lines().find(|line| line.split(':').nth(2) == Some(&number));
    let name = found.and_then(|line| line.split(':').next()).map(str::to_owned);
    name.or_else(|| std::env::var("USER").ok()).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_one_user() {
        let text = "root:1:5\nann:100000:65536\n1000:300000:1000\nbad:x:y\nann:0:0\n";
        assert_eq!(parse(text, "ann", 1000), [(100_000, 65_536), (300_000, 1000)]);
        assert!(parse(text, "bob", 7).is_empty());
        assert_eq!(arguments(1000, &[(100_000, 10), (300_000, 5)]).join(" "), "0 1000 1 1 100000 10 11 300000 5");
    }

    #[test]
    fn the_cure_is_named() {
        let error = blocks("/nonexistent/subuid", "ann", 1000).unwrap_err();
        assert!(error.message.contains("usermod --add-subuids") && error.message.contains("ann"), "{error}");
    }
}
