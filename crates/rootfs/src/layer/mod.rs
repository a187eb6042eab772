//! Layers: a compressed tar becomes one EROFS image (or a directory), checked while it streams.
//!
//! Staging happens in `tmp/` below the layers' directory; what is staged carries a `flock`, so that the remains of a
//! crashed process are told from work that is going on.

mod staging;

use std::io::Read;

use bulkhead_sys::root::Root;
use bulkhead_types::{Digest, IdMap};

use crate::Error;

pub use staging::Staged;
pub(crate) use staging::{find, list, size, sweep};

/// How a layer is kept.
#[derive(Clone, Debug)]
pub(crate) enum Backend {
    /// One EROFS image `<hex>.erofs`, mounted from its file; ids are the container's own.
    Erofs,
    /// A directory.
    Directory(Directory),
}

/// How a layer is unpacked where EROFS cannot be mounted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    /// `<hex>` without, `<hex>.<base>` with a base: a copy for one range.
    pub base: Option<u32>,
    /// Owners are stored as these map them; `None` stores the container's own ids.
    pub ids: Option<IdMap>,
    /// Overlay attributes in `user.` instead of `trusted.` (mounted with `userxattr`).
    pub user_xattrs: bool,
}

/// Takes in a compressed layer while it streams, verifies its diff id, and holds it back until committed.
///
/// # Errors
/// If it is hostile (the entry is named), truncated, or hashes otherwise; nothing is left behind.
pub(crate) fn stage(layers: &Root, diff_id: &Digest, blob: &mut dyn Read, backend: &Backend) -> Result<Staged, Error> {
    let _ = (layers, diff_id, blob, backend);
    todo!("layers")
}
