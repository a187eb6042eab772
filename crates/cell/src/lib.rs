//! Carries out a plan: namespaces, cgroup, mounts, filter, exec. Every process of a container is born here.
//!
//! * **Is:** the parent side (`launch`: prepared, cloned, mapped, sealed, running; `exec`), the child side `steps/`, one file
//!   a step, run by one loop, and between them the few packets of `protocol`.
//! * **Must never know:** names, images, networks, where a mount came from.
//! * **Types in:** [`bulkhead_plan::IsolationPlan`] with descriptors. **Types out:** [`Cell`], exit statuses.
//! * **Invariants:** the calling process has one thread; anything but full enforcement stops the start; on failure
//!   nothing is left behind.
//! * **Tests:** `tests/`, as root and as an ordinary user.

mod accounts;
mod binds;
mod cell;
mod child;
mod clear;
mod devices;
mod exec;
mod failure;
pub mod filter;
pub mod foreign;
mod hooks;
mod launch;
mod limits;
mod lists;
mod protocol;
mod scene;
mod steps;
mod walls;

pub use cell::{Cell, Tenant};
pub use clear::clear_away;
pub use failure::StepFailed;
pub use launch::{Materials, launch};
