//! The kernel, made safe: everything Bulkhead asks of Linux that the standard library does not offer.
//!
//! * **Is:** thin, typed wrappers over system calls. Unsafe code lives in [`raw`] only.
//! * **Must never know:** the word "container".
//! * **Invariants:** descriptors are owned and close-on-exec from birth; no path string from outside is resolved
//!   except below a [`root::Root`].
//! * **Tests:** beside each module; those that need privileges say so.
#![deny(unsafe_code)]

pub mod bpf;
pub mod event;
pub mod idmap;
pub mod inherited;
pub mod lock;
pub mod mount;
pub mod namespace;
pub mod privilege;
pub mod process;
pub mod random;
pub mod raw;
pub mod root;
pub mod seccomp;
pub mod settings;
pub mod socket;
pub mod spawn;
pub mod terminal;
pub mod tree;

/// An errno with the call and the object it was about.
#[derive(Debug, thiserror::Error)]
#[error("{call} {object}: {errno}")]
pub struct SysError {
    /// Name of the system call, for example `openat2`.
    pub call: &'static str,
    /// The path, descriptor or value it was about.
    pub object: String,
    /// What the kernel said.
    #[source]
    pub errno: std::io::Error,
}

/// Result of a system call.
pub type Result<T> = std::result::Result<T, SysError>;

impl SysError {
    /// From a rustix errno.
    pub fn new(call: &'static str, object: impl Into<String>, errno: impl Into<std::io::Error>) -> Self {
        Self { call, object: object.into(), errno: errno.into() }
    }

    /// The raw number, 0 if there is none.
    #[must_use]
    pub fn raw(&self) -> i32 {
        self.errno.raw_os_error().unwrap_or(0)
    }
}
