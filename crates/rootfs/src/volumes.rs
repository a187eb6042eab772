//! Volumes.
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use bulkhead_types::IdMap;

use crate::model::{Error, Volume};
use crate::place::Place;
use crate::store::Bound;

/// Below `<root>`.
pub const VOLUMES: &str = "volumes";

pub fn create(
    place: &Place,
    name: Option<&str>,
    labels: BTreeMap<String, String>,
    options: BTreeMap<String, String>,
) -> Result<Volume, Error> {
    let _ = (place, name, labels, options);
    todo!("rootfs")
}
pub fn get(place: &Place, name: &str) -> Result<Option<Volume>, Error> {
    let _ = (place, name);
    todo!("rootfs")
}
pub fn all(place: &Place) -> Result<Vec<Volume>, Error> {
    let _ = place;
    todo!("rootfs")
}
pub fn path(place: &Place, name: &str) -> PathBuf {
    place.root.join(VOLUMES).join(name).join("data")
}
pub fn size(place: &Place, name: &str) -> Result<u64, Error> {
    let _ = (place, name);
    todo!("rootfs")
}
pub fn remove(place: &Place, name: &str) -> Result<(), Error> {
    let _ = (place, name);
    todo!("rootfs")
}
pub fn mount(
    place: &Place,
    name: &str,
    subpath: Option<&str>,
    ids: &IdMap,
    populate: Option<(BorrowedFd<'_>, &str)>,
) -> Result<Bound, Error> {
    let _ = (place, name, subpath, ids, populate);
    todo!("rootfs")
}
pub fn release(place: &Place) -> Result<(), Error> {
    let _ = place;
    Ok(())
}
