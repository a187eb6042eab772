//! Resolves the user inside, takes its groups, gid and uid.
//!
//! *Why here:* after everything that needs root inside. *Attacks:* the passwd and group files are the container's: they
//! are read through a rooted, bounded lookup and our own parser, never nss (CVE-2019-14271); the host's supplementary
//! groups are gone (CVE-2022-2995 and its kin). A change of ids clears the parent-death signal and may make us traceable:
//! both are put back.

use bulkhead_plan::foreign::ForeignProcess;
use bulkhead_sys::privilege;
use rustix::fs::{FileType, Gid, Uid};
use rustix::io::Errno;

use crate::accounts::{self, Account, MAX_FILE, Unknown};
use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let account = match scene.foreign_process() {
        Some(process) => foreign(scene, process)?,
        None => resolve(scene)?,
    };
    give_streams(&account)?;
    if scene.filter_needs_rights() || scene.foreign_process().is_some() {
        privilege::keep_capabilities()?;
    }
    if groups_are_fixed(scene, &account)? {
        privilege::become_user_of_same_groups(account.uid, account.gid)?;
    } else {
        privilege::become_user(account.uid, account.gid, &account.groups)?;
    }
    scene.account = Some(account);
    scene.guard_again()
}

fn resolve(scene: &Scene<'_>) -> Result<Account, Trouble> {
    let passwd = read(scene, "/etc/passwd")?;
    let group = read(scene, "/etc/group")?;
    accounts::resolve(&scene.process.user, &scene.process.groups, &passwd, &group).map_err(|unknown| {
        let detail = match unknown {
            Unknown::User(user) => format!("user {user}"),
            Unknown::Group(group) => format!("group {group}"),
            Unknown::TooManyGroups => "groups".to_owned(),
        };
        // An index that no mount has: the parent's words for "unknown name".
        Trouble { index: u32::MAX, errno: Errno::NOENT.raw_os_error(), detail }
    })
}

/// Numbers are who they are; the image is only asked where the home directory is.
fn foreign(scene: &Scene<'_>, process: &ForeignProcess) -> Result<Account, Trouble> {
    let (uid, gid) = (process.uid, process.gid);
    let mut home = "/".to_owned();
    if !scene.process.env.iter().any(|entry| entry.starts_with("HOME=")) {
        let passwd = read(scene, "/etc/passwd")?;
        if let Ok(account) = accounts::resolve(&format!("{uid}:{gid}"), &[], &passwd, &[]) {
            home = account.home;
        }
    }
    Ok(Account { uid, gid, groups: process.groups.clone(), home })
}

/// Where an ordinary user made the user namespace, groups can neither be set nor dropped (`user_namespaces(7)`).
pub(super) fn groups_are_fixed(scene: &Scene<'_>, account: &Account) -> Result<bool, Trouble> {
    if !scene.outlives_parent() || scene.plan.foreign.as_ref().is_none_or(|foreign| !foreign.fixed_groups) {
        return Ok(false);
    }
    if account.groups.is_empty() {
        return Ok(true);
    }
    Err(Trouble::new(
        "setgroups",
        "additional groups cannot be set in a user namespace of an ordinary user",
        Errno::PERM,
    ))
}

/// A missing file names nobody.
fn read(scene: &Scene<'_>, path: &str) -> Result<Vec<u8>, Trouble> {
    match scene.root()?.read(path, MAX_FILE) {
        Ok(contents) => Ok(contents),
        Err(error) if [Errno::NOENT.raw_os_error(), Errno::NOTDIR.raw_os_error()].contains(&error.raw()) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}

/// Pipes and the terminal belong to the final user, so that `/dev/stdout` can be opened again by it (nginx logs there).
/// Files and devices that were passed in are left alone.
fn give_streams(account: &Account) -> Outcome {
    let user = Some(Uid::from_raw(account.uid));
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    for stream in streams {
        let terminal = rustix::termios::isatty(stream);
        let Ok(stat) = rustix::fs::fstat(stream) else { continue };
        // The terminal's group stays `tty`.
        let group = (!terminal).then_some(Gid::from_raw(account.gid));
        if terminal || FileType::from_raw_mode(stat.st_mode) == FileType::Fifo {
            match rustix::fs::fchown(stream, user, group) {
                // A pipe that came from outside our id range is not ours to give away.
                Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
                Err(errno) => return Err(Trouble::new("fchown", "standard streams", errno)),
            }
        }
    }
    Ok(())
}
