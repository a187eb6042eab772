//! What a foreign caller binds: made by the parent as detached mounts with all their attributes, so that the child
//! resolves no path of the host, and so that attributes that only the host's root may clear can be cleared.

use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_plan::foreign::{Foreign, ForeignMount, Propagation};
use bulkhead_plan::mount_words::MountOptions;
use bulkhead_sys::mount::{self, Change, MountAttrFlags, MountPropagationFlags};
use bulkhead_sys::{SysError, idmap};
use bulkhead_types::ErrorClass;
use rustix::fs::CWD;

use crate::failure::StepFailed;

/// One detached mount for each of the plan's that is a bind mount.
///
/// # Errors
/// Names the mount by its field.
pub fn prepare(foreign: &Foreign) -> Result<Vec<Option<OwnedFd>>, StepFailed> {
    foreign
        .mounts
        .iter()
        .enumerate()
        .map(|(index, wanted)| {
            let options = options(wanted).map_err(|why| {
                let message = format!("mounts[{index}].options ({}): {why}", wanted.target);
                StepFailed::new("foreign-mounts", ErrorClass::Invalid, message)
            })?;
            if !is_bind(wanted, &options) {
                return Ok(None);
            }
            bind(wanted, &options).map(Some).map_err(|error| {
                let message = format!(
                    "mounts[{index}] ({} at {}): {error}; the source must exist on the host and its file system must \
                     allow what the options ask for",
                    wanted.source.as_deref().unwrap_or_default(),
                    wanted.target
                );
                StepFailed::new("foreign-mounts", ErrorClass::Invalid, message)
            })
        })
        .collect()
}

/// The words of a mount, read.
///
/// # Errors
/// The word that cannot be honoured.
pub fn options(wanted: &ForeignMount) -> Result<MountOptions, String> {
    MountOptions::parse(wanted.options.as_deref().unwrap_or_default())
}

/// True for a bind mount, which some callers name as a type and some as an option.
pub fn is_bind(wanted: &ForeignMount, options: &MountOptions) -> bool {
    options.bind || wanted.kind.as_deref() == Some("bind")
}

fn bind(wanted: &ForeignMount, options: &MountOptions) -> Result<OwnedFd, SysError> {
    let source = wanted.source.as_deref().unwrap_or_default();
    let made = mount::clone_tree(CWD, source, options.recursive_bind)?;
    // Private first: what is set below is not to be set on the host's.
    let private = Change { propagation: Some(MountPropagationFlags::PRIVATE), ..Change::default() };
    if options.propagation.is_empty() {
        mount::change(made.as_fd(), &private, true)?;
    }
    if let Some(users) = &wanted.users {
        let groups = wanted.groups.as_ref().unwrap_or(users);
        let namespace = idmap::namespace_with_map(&users.to_proc(), &groups.to_proc())?;
        let change = Change { idmap: Some(namespace.as_fd()), ..Change::default() };
        mount::change(made.as_fd(), &change, options.idmap == Some(true))?;
    }
    attributes(&made, options)?;
    Ok(made)
}

/// Attributes and propagation of a detached mount.
///
/// # Errors
/// The kernel's.
pub fn attributes(made: &OwnedFd, options: &MountOptions) -> Result<(), SysError> {
    for (set, clear, recursive) in
        [(options.set, options.clear, false), (options.recursive_set, options.recursive_clear, true)]
    {
        if set | clear != 0 {
            // What is to be set counts where a word asks for both (an access time mode replaces the other two).
            let change = Change {
                set: MountAttrFlags::from_bits_retain(set),
                clear: MountAttrFlags::from_bits_retain(clear),
                ..Change::default()
            };
            mount::change(made.as_fd(), &change, recursive)?;
        }
    }
    for (kind, recursive) in &options.propagation {
        let change = Change { propagation: Some(propagation(*kind)), ..Change::default() };
        mount::change(made.as_fd(), &change, *recursive)?;
    }
    Ok(())
}

/// The kernel's flag.
pub fn propagation(kind: Propagation) -> MountPropagationFlags {
    match kind {
        Propagation::Private => MountPropagationFlags::PRIVATE,
        Propagation::Shared => MountPropagationFlags::SHARED,
        Propagation::Slave => MountPropagationFlags::DOWNSTREAM,
        Propagation::Unbindable => MountPropagationFlags::UNBINDABLE,
    }
}
