//! Host paths in containers.
use std::path::Path;

use bulkhead_types::IdMap;

use crate::model::{BindOptions, Error};
use crate::place::Place;
use crate::store::Bound;

/// As [`crate::Store::bind`].
///
/// # Errors
/// As [`crate::Store::bind`].
pub fn bind(place: &Place, source: &Path, ids: &IdMap, options: BindOptions) -> Result<Bound, Error> {
    let _ = (place, source, ids, options);
    todo!("rootfs")
}
