//! Images: the content store and the distribution client. A reference goes in, a verified image comes out.
//!
//! * **Is:** `blobs/`, the table of references, registries (OCI distribution and Docker v2), archives (`docker save`
//!   and OCI layout), import and base images.
//! * **Must never know:** mounts, users, containers. What becomes of a layer is the [`LayerSink`]'s business.
//! * **Types in:** [`bulkhead_types::ImageRef`]. **Types out:** [`Image`].
//! * **Invariants:** every byte that an [`Image`] names was verified; a reference is written last.
//! * **Tests:** beside each module; `tests/` against real registries and other people's tools.

mod blobs;
mod build;
pub mod config;
mod debian;
mod growing;
mod layers;
mod load;
mod manifest;
mod members;
mod model;
mod pull;
mod push;
mod refs;
mod remote;
mod removal;
mod save;
mod shelf;
mod store;
mod unpacked;

pub use debian::DebianBase;
pub use model::*;
pub use store::Store;
