//! Images made here: import of a root file system, and one more layer on top of a base.

use std::io::{self, Read, Write};

use bulkhead_archive::Limits;
use bulkhead_archive::compress::{self, Compression};
use bulkhead_archive::hash::{HashingReader, HashingWriter};
use bulkhead_types::{Algorithm, Digest, ErrorClass, ImageRef};

use crate::config::{History, ImageConfig};
use crate::layers::{NoSource, Work};
use crate::manifest::{Descriptor, LAYER_GZIP, Manifest, OCI_CONFIG};
use crate::model::{Error, Image, Layer, LayerSink, Silent};
use crate::removal;
use crate::shelf::Shelf;

/// Makes an image of one layer from a tar, compressed or not.
pub(crate) fn import(
    shelf: &Shelf,
    tar: &mut (dyn Read + Send),
    config: ImageConfig,
    reference: Option<&ImageRef>,
    sink: &dyn LayerSink,
) -> Result<Image, Error> {
    let made = shelf.hold().and_then(|_holding| import_held(shelf, tar, config, reference, sink));
    or_nothing(shelf, sink, made)
}

/// A failure leaves nothing behind; it is what counts, and what cannot be removed now, the next prune finds.
fn or_nothing(shelf: &Shelf, sink: &dyn LayerSink, made: Result<Image, Error>) -> Result<Image, Error> {
    if made.is_err() {
        drop(removal::collect_garbage(shelf, sink));
    }
    made
}

fn import_held(
    shelf: &Shelf,
    tar: &mut (dyn Read + Send),
    mut config: ImageConfig,
    reference: Option<&ImageRef>,
    sink: &dyn LayerSink,
) -> Result<Image, Error> {
    let (_, mut plain) = compress::decoder(tar, Limits::default())
        .map_err(|cause| Error::new(ErrorClass::Invalid, format!("the archive cannot be read: {cause}")))?;
    let layer = store(shelf, &mut plain)?;
    drop(plain);
    if config.history.is_empty() {
        let comment = config.comment.clone().unwrap_or_else(|| "imported".into());
        let history = History { created: config.created.clone(), comment: Some(comment), ..History::default() };
        config.history = vec![history];
    }
    finish(shelf, vec![layer], config, reference, sink)
}

/// Makes an image of `base`'s layers and one more.
pub(crate) fn add_layer(
    shelf: &Shelf,
    base: Option<&Image>,
    tar: &mut (dyn Read + Send),
    config: ImageConfig,
    reference: Option<&ImageRef>,
    sink: &dyn LayerSink,
) -> Result<Image, Error> {
    let made = shelf.hold().and_then(|_holding| {
        let layer = store(shelf, tar)?;
        stack(shelf, base, layer, config, reference, sink)
    });
    or_nothing(shelf, sink, made)
}

fn stack(
    shelf: &Shelf,
    base: Option<&Image>,
    layer: Layer,
    mut config: ImageConfig,
    reference: Option<&ImageRef>,
    sink: &dyn LayerSink,
) -> Result<Image, Error> {
    let mut layers = base.map_or_else(Vec::new, |base| base.layers.clone());
    layers.push(layer);
    let told = config.history.iter().filter(|step| !step.empty_layer).count();
    if told < layers.len() {
        let before = base.map_or_else(Vec::new, |base| base.config.history.clone());
        let own = std::mem::take(&mut config.history);
        let own = if own.is_empty() {
            let comment = config.comment.clone();
            vec![History {
                created: config.created.clone(),
                author: config.author.clone(),
                comment,
                ..History::default()
            }]
        } else {
            own
        };
        config.history = before.into_iter().chain(own).collect();
    }
    finish(shelf, layers, config, reference, sink)
}

/// Compresses a tar stream into the store, hashing both forms on the way.
fn store(shelf: &Shelf, tar: &mut dyn Read) -> Result<Layer, Error> {
    let spool = shelf.blobs.spool()?;
    let fail = |cause: &io::Error| Error::io("storing the layer", cause);
    let mut hashing = HashingReader::new(tar, Algorithm::Sha256);
    let mut blob = HashingWriter::new(io::BufWriter::with_capacity(256 << 10, &spool.file), Algorithm::Sha256);
    let mut encoder = compress::encoder(&mut blob, Compression::Gzip).map_err(|cause| fail(&cause))?;
    copy(&mut hashing, &mut encoder).map_err(|cause| fail(&cause))?;
    encoder.finish().map_err(|cause| fail(&cause))?;
    let (diff_id, _) = hashing.finish();
    let (mut file, digest, size) = blob.finish();
    file.flush().map_err(|cause| fail(&cause))?;
    drop(file);
    spool.keep(&digest)?;
    Ok(Layer { digest, size, media_type: LAYER_GZIP.into(), diff_id })
}

/// Copies in pieces of one size: a modern deflate's output depends on how its input is cut, and the same tar must give
/// the same blob however it arrives.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0u8; 256 << 10];
    loop {
        let mut filled = 0;
        while filled < buffer.len() {
            match from.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        to.write_all(&buffer[..filled])?;
        if filled < buffer.len() {
            return Ok(());
        }
    }
}

/// Stages the new layer, writes configuration and manifest, and registers the image.
fn finish(
    shelf: &Shelf,
    layers: Vec<Layer>,
    mut config: ImageConfig,
    reference: Option<&ImageRef>,
    sink: &dyn LayerSink,
) -> Result<Image, Error> {
    Work::new(shelf, sink, &Silent).run(&layers, &NoSource)?;
    config.rootfs.kind = "layers".into();
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id.clone()).collect();
    let (manifest, id) = describe(shelf, &layers, &config)?;
    shelf.register(&manifest, &id, reference.map(std::slice::from_ref).unwrap_or_default())
}

/// Writes a configuration and the manifest for it; returns their digests, manifest first.
pub(crate) fn describe(shelf: &Shelf, layers: &[Layer], config: &ImageConfig) -> Result<(Digest, Digest), Error> {
    let text = serde_json::to_vec(config)
        .map_err(|cause| Error::new(ErrorClass::Internal, format!("the configuration cannot be written: {cause}")))?;
    let id = shelf.blobs.put(&text)?;
    let config = descriptor(OCI_CONFIG, &id, text.len() as u64);
    describe_as(shelf, layers, config).map(|manifest| (manifest, id))
}

/// Writes the manifest for a stored configuration.
pub(crate) fn describe_as(shelf: &Shelf, layers: &[Layer], config: Descriptor) -> Result<Digest, Error> {
    let layers = layers.iter().map(|layer| descriptor(&layer.media_type, &layer.digest, layer.size)).collect();
    let text = serde_json::to_vec(&Manifest::new(config, layers))
        .map_err(|cause| Error::new(ErrorClass::Internal, format!("the manifest cannot be written: {cause}")))?;
    shelf.blobs.put(&text)
}

fn descriptor(media_type: &str, digest: &Digest, size: u64) -> Descriptor {
    Descriptor { media_type: media_type.into(), digest: digest.clone(), size, platform: None, annotations: None }
}
