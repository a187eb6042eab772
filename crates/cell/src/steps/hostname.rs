//! `sethostname(2)` in the new UTS namespace; `CAP_SYS_ADMIN` over it is needed and will be gone.

use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let name = &scene.plan.hostname;
    if !name.is_empty() {
        rustix::system::sethostname(name.as_bytes()).map_err(|errno| Trouble::new("sethostname", name, errno))?;
    }
    match scene.plan.foreign.as_ref().and_then(|foreign| foreign.domain_name.as_deref()) {
        Some(domain) => Ok(bulkhead_sys::settings::domain_name(domain)?),
        None => Ok(()),
    }
}
