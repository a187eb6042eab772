//! The distribution client: names to addresses, HTTP, credentials, and one repository at a registry.

mod challenge;
mod credentials;
mod dns;
mod http;
mod registry;

pub(crate) use http::{Failure, explain_io, fetch};
pub(crate) use registry::{Access, Registry, pause, retrying};
