//! Makes every inherited mount private.
//!
//! *Why here:* before the first mount of ours, so that nothing propagates to the host and nothing of the host comes in.

use std::os::fd::AsFd as _;

use bulkhead_sys::mount::{self, Change, MountPropagationFlags};

use crate::scene::{Outcome, Scene};

pub(super) fn run(_: &mut Scene<'_>) -> Outcome {
    let root = bulkhead_sys::root::Root::open_trusted(std::path::Path::new("/"))?;
    let change = Change { propagation: Some(MountPropagationFlags::PRIVATE), ..Change::default() };
    Ok(mount::change(root.fd().as_fd(), &change, true)?)
}
