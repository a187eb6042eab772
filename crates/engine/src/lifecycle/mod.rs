//! The verbs that change where a container stands, one module a verb.

mod attach;
mod create;
mod draft;
mod exec;
mod handover;
mod materials;
mod pause;
mod remove;
mod rename;
mod start;
mod stop;
mod update;
mod wait;
mod wishes;

pub(crate) use create::platform_of;
pub(crate) use handover::repair_cgroup;

pub(crate) use wishes::{process_of, seal_dry};
