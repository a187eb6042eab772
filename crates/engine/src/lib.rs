//! Lifecycle and record of every container: composes image, rootfs and plan, and starts monitors.
//!
//! * **Is:** the desk behind every door. A verb of a door is one method of [`Engine`].
//! * **Must never know:** clone, seccomp, cgroups, HTTP, tables on a terminal.
//! * **Types in:** [`CreateRequest`] and its like. **Types out:** records and Docker-shaped views (`view`).
//! * **Invariants:** bad input changes nothing; `kill -9` at any point leaves what the next command repairs; no
//!   daemon holds state.
//! * **Tests:** beside each module; `tests/` of the workspace drive the shipped program.

mod base;
mod builtin;
mod changes;
mod clock;
mod commit;
mod control;
mod copy;
mod devices;
mod engine;
mod events;
mod filters;
mod health;
mod host;
mod image_parts;
mod images;
mod inspect;
mod layout;
mod lifecycle;
mod list;
mod lock;
mod logging;
mod logs;
mod lookup;
mod memory;
mod model;
mod mounts;
mod names;
mod pending;
mod record;
mod repair;
mod request;
mod resources;
mod rootless;
mod signal;
mod standing;
mod stats;
mod system;
mod top;
pub mod transfer;
mod userfiles;
pub mod view;
mod volumes;

pub use engine::{Engine, EngineOptions};
pub use lock::Locked;
pub use model::*;
pub use request::*;

pub use bulkhead_image::{Progress, Removed, SaveFormat, Silent};
pub use bulkhead_plan::control::{Exited, RestartPolicy, Stats, Streams};
pub use bulkhead_plan::{Concession, IsolationPlan, TerminalSize, explain};
pub use bulkhead_rootfs::{Change, ChangeKind, Volume, convert_layer};
pub use bulkhead_sys::event::Signals;
