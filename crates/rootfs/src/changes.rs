//! What a container changed against its image, listed and as a layer.
use std::io::Write;

use bulkhead_types::Digest;

use crate::model::{Change, Error};
use crate::place::Place;

/// As [`crate::Store::changes`].
///
/// # Errors
/// As [`crate::Store::changes`].
pub fn list(place: &Place, id: &str, layers: &[Digest]) -> Result<Vec<Change>, Error> {
    let _ = (place, id, layers);
    todo!("rootfs")
}

/// As [`crate::Store::write_changes`].
///
/// # Errors
/// As [`crate::Store::write_changes`].
pub fn write(place: &Place, id: &str, layers: &[Digest], out: &mut dyn Write) -> Result<(), Error> {
    let _ = (place, id, layers, out);
    todo!("rootfs")
}
