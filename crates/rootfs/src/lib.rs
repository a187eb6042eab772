//! Root file systems: layers, overlays, volumes, binds, and the ledger of id ranges.
//!
//! * **Is:** a layer is one EROFS image (or a directory where that cannot be mounted); a container is an overlay of
//!   idmapped layers with its own upper directory; what is stored on disk carries the ids of the container, not the
//!   host's, so a range is never found on disk.
//! * **Must never know:** registries, processes, why.
//! * **Types in:** streams, digests, [`bulkhead_types::IdMap`]. **Types out:** detached mounts as descriptors.
//! * **Invariants:** a layer is visible only when it is complete and its digest was verified; no name from a layer or
//!   a container reaches a call that follows links; two live holders never share an id.
//! * **Tests:** `contract.rs` for each layer backend; `tests/` as root and as an ordinary user.

mod attributes;
mod binds;
mod changes;
#[cfg(test)]
mod contract;
mod copy;
mod layer;
mod model;
mod overlay;
mod place;
mod ranges;
mod recipe;
#[cfg(test)]
mod rootless;
mod scratch;
#[cfg(test)]
mod shared_data;
mod shelf;
mod store;
#[cfg(test)]
mod testing;
mod uppers;
mod volumes;

pub use layer::{Converter, Staged, convert_layer};
pub use model::*;
pub use store::Store;
