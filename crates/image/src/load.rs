//! Load: docker archives of every age with a `manifest.json`, and OCI layouts, from files or pipes.

use std::io::Read;

use crate::members::Files;
use crate::model::{Error, Image, LayerSink, Progress};
use crate::shelf::{Shelf, Sighting};
use crate::{layers, removal, unpacked};

pub(crate) fn load(
    shelf: &Shelf,
    archive: &mut (dyn Read + Send),
    sink: &dyn LayerSink,
    progress: &dyn Progress,
) -> Result<Vec<Image>, Error> {
    let loaded = held(shelf, archive, sink, progress);
    if loaded.is_err() {
        // The first failure is what counts; what cannot be removed now, the next prune finds.
        drop(removal::collect_garbage(shelf, sink));
    }
    loaded
}

fn held(
    shelf: &Shelf,
    archive: &mut (dyn Read + Send),
    sink: &dyn LayerSink,
    progress: &dyn Progress,
) -> Result<Vec<Image>, Error> {
    let _holding = shelf.hold()?;
    let files = Files::read(shelf, archive)?;
    let found = unpacked::images(shelf, &files)?;
    let all: Vec<_> = found.iter().flat_map(|one| one.layers.iter().cloned()).collect();
    layers::Work::new(shelf, sink, progress).run(&all, &layers::NoSource)?;
    let sightings: Vec<Sighting> = found.into_iter().map(|one| one.sighting).collect();
    shelf.register_all(&sightings)?;
    let mut images = Vec::new();
    for sighting in sightings {
        let mut image = shelf.get(&sighting.manifest.to_string())?;
        image.references = sighting.names;
        images.push(image);
    }
    Ok(images)
}
