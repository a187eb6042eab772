//! Several layers at once, whichever way they come in: each is fetched or found, verified, and staged with the sink;
//! nothing is committed before all are right.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bulkhead_archive::{Limits, compress, hash::HashingReader};
use bulkhead_types::{Digest, ErrorClass};

use crate::model::{Error, Layer, LayerSink, Progress, StagedLayer};
use crate::shelf::Shelf;

/// Transfers at a time, as Docker does; more only makes a registry slower.
const WORKERS: usize = 3;

/// Where a blob that is not here comes from.
pub(crate) trait Source: Sync {
    /// Brings the blob into the store and lets `sink` read it meanwhile.
    fn bring(&self, layer: &Layer, work: &Work<'_>) -> Result<Option<Box<dyn StagedLayer>>, Error>;
}

/// There must be no blob missing.
pub(crate) struct NoSource;

impl Source for NoSource {
    fn bring(&self, layer: &Layer, _: &Work<'_>) -> Result<Option<Box<dyn StagedLayer>>, Error> {
        Err(Error::new(ErrorClass::Internal, format!("the blob {} vanished from the image store", layer.digest)))
    }
}

/// What the workers share.
pub(crate) struct Work<'a> {
    pub(crate) shelf: &'a Shelf,
    pub(crate) sink: &'a dyn LayerSink,
    pub(crate) progress: &'a dyn Progress,
    stop: AtomicBool,
}

impl<'a> Work<'a> {
    pub(crate) fn new(shelf: &'a Shelf, sink: &'a dyn LayerSink, progress: &'a dyn Progress) -> Self {
        Self { shelf, sink, progress, stop: AtomicBool::new(false) }
    }

    /// Set once some layer has failed: the others need not go on.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Brings in all layers, then makes them visible. Returns when every one is.
    pub(crate) fn run(&self, layers: &[Layer], source: &dyn Source) -> Result<(), Error> {
        let layers = distinct(layers)?;
        let next = AtomicUsize::new(0);
        let staged: Mutex<Vec<Box<dyn StagedLayer>>> = Mutex::new(Vec::new());
        let failure: Mutex<Option<Error>> = Mutex::new(None);
        let worker = || {
            while let Some(layer) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.stopped() {
                    return;
                }
                match self.one(layer, source) {
                    Ok(done) => staged.lock().unwrap_or_else(PoisonError::into_inner).extend(done),
                    Err(why) => {
                        // The first failure is the cause; the others follow from it.
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                        self.stop.store(true, Ordering::Relaxed);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..WORKERS.min(layers.len()) {
                scope.spawn(worker);
            }
            worker();
        });
        if let Some(why) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(why);
        }
        for layer in staged.into_inner().unwrap_or_else(PoisonError::into_inner) {
            layer.commit()?;
        }
        Ok(())
    }

    fn one(&self, layer: &Layer, source: &dyn Source) -> Result<Option<Box<dyn StagedLayer>>, Error> {
        let id = layer.digest.short();
        let Some(file) = self.shelf.blobs.open_blob(&layer.digest)? else {
            let staged = source.bring(layer, self)?;
            self.progress.update(id, "Pull complete", layer.size, layer.size);
            return Ok(staged);
        };
        if self.sink.has(&layer.diff_id) && self.shelf.knows_pair(&layer.digest, &layer.diff_id)? {
            self.progress.update(id, "Already exists", layer.size, layer.size);
            return Ok(None);
        }
        self.progress.update(id, "Extracting", 0, layer.size);
        let staged = match self.take_in(layer, &mut { file }) {
            Err(why) => {
                if self.is_whole(layer)? {
                    return Err(why);
                }
                // The disk has lost some of it since it was verified.
                self.shelf.blobs.remove(&layer.digest)?;
                source.bring(layer, self)?
            }
            Ok(staged) => staged,
        };
        self.progress.update(id, "Pull complete", layer.size, layer.size);
        Ok(staged)
    }

    /// Whether a stored blob still hashes to its name.
    fn is_whole(&self, layer: &Layer) -> Result<bool, Error> {
        let Some(file) = self.shelf.blobs.open_blob(&layer.digest)? else { return Ok(false) };
        let mut hashing = HashingReader::new(file, layer.digest.algorithm());
        io::copy(&mut hashing, &mut io::sink())
            .map_err(|cause| Error::io(format_args!("reading the blob {}", layer.digest), &cause))?;
        Ok(hashing.finish().0 == layer.digest)
    }

    /// Lets the sink read a blob, or, if it has the layer already, only checks that the blob really is that layer: a
    /// manifest must not be able to name somebody else's layer without having it.
    pub(crate) fn take_in(&self, layer: &Layer, blob: &mut dyn Read) -> Result<Option<Box<dyn StagedLayer>>, Error> {
        if !self.sink.has(&layer.diff_id) {
            return self.sink.stage(&layer.diff_id, blob).map(Some);
        }
        let found = uncompressed_digest(blob, &layer.diff_id).map_err(|cause| {
            Error::new(ErrorClass::Invalid, format!("layer {} cannot be read: {cause}", layer.digest))
        })?;
        if found == layer.diff_id {
            return Ok(None);
        }
        Err(Error::new(
            ErrorClass::Invalid,
            format!("layer {} is refused: its content is {found}, the image claims {}", layer.digest, layer.diff_id),
        ))
    }
}

fn uncompressed_digest(blob: &mut dyn Read, like: &Digest) -> io::Result<Digest> {
    let (_, decoded) = compress::decoder(blob, Limits::default())?;
    let mut hashing = HashingReader::new(decoded, like.algorithm());
    io::copy(&mut hashing, &mut io::sink())?;
    Ok(hashing.finish().0)
}

/// Each layer once. One blob cannot be two layers.
fn distinct(layers: &[Layer]) -> Result<Vec<Layer>, Error> {
    let mut seen: BTreeMap<&Digest, &Digest> = BTreeMap::new();
    let mut result = Vec::new();
    for layer in layers {
        match seen.insert(&layer.digest, &layer.diff_id) {
            None => result.push(layer.clone()),
            Some(before) if *before == layer.diff_id => {}
            Some(_) => {
                return Err(Error::new(
                    ErrorClass::Invalid,
                    format!("the image is refused: it gives layer {} two different contents", layer.digest),
                ));
            }
        }
    }
    Ok(result)
}
