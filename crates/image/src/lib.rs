//! Images: the content store and the distribution client. A reference goes in, a verified image comes out.
//!
//! * **Is:** `blobs/`, the table of references, registries (OCI distribution and Docker v2), archives (`docker save`
//!   and OCI layout), import and base images.
//! * **Must never know:** mounts, users, containers. What becomes of a layer is the [`LayerSink`]'s business.
//! * **Types in:** [`bulkhead_types::ImageRef`]. **Types out:** [`Image`].
//! * **Invariants:** every byte that an [`Image`] names was verified; a reference is written last.
//! * **Tests:** beside each module; `tests/` against real registries and other people's tools.

pub mod config;
mod model;
mod store;

pub use model::*;
pub use store::Store;
