//! The default-deny system call filter as data; `sys::seccomp` compiles it.

use serde::{Deserialize, Serialize};

/// Which filter a container gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeccompPolicy {
    /// The level's own filter, opened only as far as the plan's capabilities ask for.
    #[default]
    Default,
    /// None, by concession.
    Unconfined,
}
