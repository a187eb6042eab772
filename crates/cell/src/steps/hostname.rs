//! `sethostname(2)` in the new UTS namespace; `CAP_SYS_ADMIN` over it is needed and will be gone.

use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let name = &scene.plan.hostname;
    rustix::system::sethostname(name.as_bytes()).map_err(|errno| Trouble::new("sethostname", name, errno))
}
