//! Ids, capabilities and the other rights of this process. Everything here only counts for the calling thread and is
//! meant for a process of one thread.

use rustix::process::{DumpableBehavior, Gid, Signal, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::raw::process as raw;
use crate::{Result, SysError};

/// Takes these groups and ids, real, effective, saved and file system alike. `groups` is the whole list.
///
/// # Errors
/// The kernel's: `EINVAL` means an id outside the user namespace's map.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> Result<()> {
    let list: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    rustix::thread::set_thread_groups(&list)
        .map_err(|errno| SysError::new("setgroups", format!("{groups:?}"), errno))?;
    let group = Gid::from_raw(gid);
    rustix::thread::set_thread_res_gid(group, group, group)
        .map_err(|errno| SysError::new("setresgid", gid.to_string(), errno))?;
    let user = Uid::from_raw(uid);
    rustix::thread::set_thread_res_uid(user, user, user)
        .map_err(|errno| SysError::new("setresuid", uid.to_string(), errno))
}

/// As [`become_user`] where the additional groups cannot be changed.
///
/// # Errors
/// The kernel's.
pub fn become_user_of_same_groups(uid: u32, gid: u32) -> Result<()> {
    let group = Gid::from_raw(gid);
    rustix::thread::set_thread_res_gid(group, group, group)
        .map_err(|errno| SysError::new("setresgid", gid.to_string(), errno))?;
    let user = Uid::from_raw(uid);
    rustix::thread::set_thread_res_uid(user, user, user)
        .map_err(|errno| SysError::new("setresuid", uid.to_string(), errno))
}

/// Keep the permitted capabilities when a change of ids leaves root; lasts until exec.
///
/// # Errors
/// The kernel's.
pub fn keep_capabilities() -> Result<()> {
    rustix::thread::set_keep_capabilities(true).map_err(|errno| SysError::new("prctl", "PR_SET_KEEPCAPS", errno))
}

/// Drops every capability that is not a bit of `keep` from the bounding set, those included that this build does not
/// know.
///
/// # Errors
/// The kernel's.
pub fn limit_bounding_set(keep: u64) -> Result<()> {
    for number in 0..64u32 {
        if keep & (1 << number) != 0 {
            continue;
        }
        match raw::drop_bounding(number) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && number > 0 => return Ok(()),
            Err(error) => return Err(SysError::new("prctl", format!("PR_CAPBSET_DROP {number}"), error)),
        }
    }
    Ok(())
}

/// Permitted and effective become `keep` (bits by capability number); inheritable, and with it ambient, empty.
///
/// # Errors
/// The kernel's.
pub fn set_capabilities(keep: u64) -> Result<()> {
    let keep = CapabilitySet::from_bits_retain(keep);
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)
        .map_err(|errno| SysError::new("capset", format!("{:x}", keep.bits()), errno))?;
    rustix::thread::clear_ambient_capability_set().map_err(|errno| SysError::new("prctl", "PR_CAP_AMBIENT", errno))
}

/// All four sets of a process besides the bounding set, bits by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Sets {
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub ambient: u64,
}

/// Takes exactly these sets.
///
/// # Errors
/// The kernel's; `EPERM` for what this process does not have itself.
pub fn set_all_capabilities(sets: Sets) -> Result<()> {
    let [effective, permitted, inheritable] =
        [sets.effective, sets.permitted, sets.inheritable].map(CapabilitySet::from_bits_retain);
    rustix::thread::set_capabilities(None, CapabilitySets { effective, permitted, inheritable })
        .map_err(|errno| SysError::new("capset", format!("{sets:x?}"), errno))?;
    rustix::thread::clear_ambient_capability_set()
        .map_err(|errno| SysError::new("prctl", "PR_CAP_AMBIENT_CLEAR_ALL", errno))?;
    for number in (0..64).filter(|number| sets.ambient & 1 << number != 0) {
        crate::raw::settings::raise_ambient(number)
            .map_err(|errno| SysError::new("prctl", format!("PR_CAP_AMBIENT_RAISE {number}"), errno))?;
    }
    Ok(())
}

/// Permitted capabilities of this process, bits by number.
///
/// # Errors
/// The kernel's.
pub fn permitted() -> Result<u64> {
    let sets = rustix::thread::capabilities(None).map_err(|errno| SysError::new("capget", "self", errno))?;
    Ok(sets.permitted.bits())
}

/// No exec gives this process or a descendant more rights (`PR_SET_NO_NEW_PRIVS`), read back.
///
/// # Errors
/// The kernel's.
pub fn no_new_privileges() -> Result<()> {
    let fail = |errno| SysError::new("prctl", "PR_SET_NO_NEW_PRIVS", errno);
    rustix::thread::set_no_new_privs(true).map_err(fail)?;
    if rustix::thread::no_new_privs().map_err(fail)? { Ok(()) } else { Err(fail(rustix::io::Errno::PERM)) }
}

/// Nobody without rights over this process's own user namespace may trace it or look into its `/proc` entries.
///
/// # Errors
/// The kernel's.
pub fn hide_from_tracing() -> Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|errno| SysError::new("prctl", "PR_SET_DUMPABLE", errno))
}

/// `SIGKILL` for this process when its parent ends. A change of ids clears it.
///
/// # Errors
/// The kernel's.
pub fn die_with_parent() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| SysError::new("prctl", "PR_SET_PDEATHSIG", errno))
}

/// A new, empty session keyring. A kernel without keyrings has nothing to hide, which is fine.
///
/// # Errors
/// The kernel's.
pub fn new_session_keyring() -> Result<()> {
    match raw::new_session_keyring() {
        Err(error) if error.raw_os_error() != Some(libc::ENOSYS) => {
            Err(SysError::new("keyctl", "KEYCTL_JOIN_SESSION_KEYRING", error))
        }
        _ => Ok(()),
    }
}
