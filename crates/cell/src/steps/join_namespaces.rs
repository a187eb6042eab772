//! Enters the namespaces that a foreign caller names by path.
//!
//! *Why here:* the descriptors were opened and checked by the parent; the user namespace comes first, because the right
//! to enter the others may come with it. A pid namespace counts for children only, so the parent has entered it already.

use std::os::fd::AsFd as _;

use bulkhead_sys::namespace;

use crate::scene::{Outcome, Scene};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let joined = scene.foreign.as_mut().map(|foreign| std::mem::take(&mut foreign.joined)).unwrap_or_default();
    for (index, descriptor) in joined.iter().enumerate() {
        namespace::enter_descriptor(descriptor.as_fd())
            .map_err(|error| crate::scene::Trouble::from(error).at(index))?;
    }
    Ok(())
}
