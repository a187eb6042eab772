//! Streams between the caller's descriptors and a process inside: one thread, one poll loop, no lost byte.

pub mod attach;
pub mod detach;
pub mod exec;
mod feed;
pub mod signals;
pub mod terminal;
