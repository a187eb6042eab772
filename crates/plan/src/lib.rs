//! The isolation plan: what a container is held by, as plain data.
//!
//! * **Is:** the one place that decides. Sealed defaults, named concessions, the order of steps, and the two protocols
//!   that carry a plan down to the wall (`handover`: engine to monitor, `control`: anyone to a running monitor).
//! * **Must never know:** the kernel, images, files. Pure functions only.
//! * **Types in:** [`Wishes`] (what the user and the image ask for). **Types out:** [`IsolationPlan`].
//! * **Invariants:** a plan starts closed; every opening is a [`Concession`] that stays visible in it.
//! * **Tests:** beside each module.

mod capability;
pub mod concession;
pub mod control;
mod explain;
pub mod foreign;
pub mod handover;
pub mod masks;
mod model;
pub mod mount_words;
pub mod opened;
mod resources;
mod seal;
pub mod seccomp;
pub mod steps;

pub use capability::Capability;
pub use concession::Concession;
pub use explain::explain;
pub use model::*;
pub use seal::{HostFacts, HostMounts, NetworkWish, PlanError, Wishes};
