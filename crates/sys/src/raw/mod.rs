//! One system call per function: unsafe inside, a safe signature outside. Structures come from `linux-raw-sys`.
//! A safety comment names the invariant and who upholds it.
#![allow(unsafe_code)]

pub mod bpf;
pub mod event;
pub mod inherited;
pub mod mount;
pub mod process;
pub mod seccomp;
pub mod settings;
