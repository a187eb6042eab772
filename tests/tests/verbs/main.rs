//! The verbs as a user types them, one file each.

mod cp;
mod create;
mod events;
mod exec;
mod export;
mod image;
mod inspect;
mod lifecycle;
mod logs;
mod output;
mod ps;
mod run;
mod stats;
mod terminal;
mod usage;
mod volume;
