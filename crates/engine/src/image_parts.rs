//! What every verb that makes an image needs: a fresh configuration, a name, and where the layers go.

use std::collections::BTreeSet;
use std::io::{Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bulkhead_image::config::ImageConfig;
use bulkhead_image::{LayerSink, StagedLayer};
use bulkhead_types::{Digest, ImageRef, Platform};

use crate::clock;
use crate::engine::Engine;
use crate::model::{Error, Result};

/// A configuration of this moment and platform.
pub(crate) fn new_config() -> ImageConfig {
    let platform = Platform::host();
    ImageConfig {
        created: Some(clock::now()),
        architecture: platform.architecture,
        os: platform.os,
        ..ImageConfig::default()
    }
}

/// A reference a user writes as target.
///
/// # Errors
/// In Docker's words.
pub(crate) fn parse_reference(text: &str) -> Result<ImageRef> {
    text.parse().map_err(|error: bulkhead_types::ReferenceError| Error::invalid(error.to_string()))
}

/// Layers go to the rootfs room.
pub(crate) struct Sink<'a> {
    store: &'a bulkhead_rootfs::Store,
    /// Layers of containers, which stay when their image goes.
    kept: BTreeSet<Digest>,
    /// Where they are noted, so that the next prune finds them.
    strays: PathBuf,
}

fn remember(path: &Path, diff_id: &Digest) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(format!("{diff_id}\n").as_bytes())
}

struct Staged(bulkhead_rootfs::Staged);

fn to_image_error(error: bulkhead_rootfs::Error) -> bulkhead_image::Error {
    bulkhead_image::Error::new(error.class, error.message)
}

impl StagedLayer for Staged {
    fn commit(self: Box<Self>) -> std::result::Result<(), bulkhead_image::Error> {
        self.0.commit().map_err(to_image_error)
    }
}

impl LayerSink for Sink<'_> {
    fn has(&self, diff_id: &Digest) -> bool {
        self.store.has_layer(diff_id)
    }

    fn stage(
        &self,
        diff_id: &Digest,
        blob: &mut dyn Read,
    ) -> std::result::Result<Box<dyn StagedLayer>, bulkhead_image::Error> {
        let staged = self.store.stage_layer(diff_id, blob).map_err(to_image_error)?;
        Ok(Box::new(Staged(staged)))
    }

    fn size(&self, diff_id: &Digest) -> u64 {
        self.store.layer_size(diff_id)
    }

    fn remove(&self, diff_id: &Digest) -> std::result::Result<(), bulkhead_image::Error> {
        if self.kept.contains(diff_id) {
            return remember(&self.strays, diff_id).map_err(|error| {
                bulkhead_image::Error::new(
                    bulkhead_types::ErrorClass::Internal,
                    format!("{}: {error}", self.strays.display()),
                )
            });
        }
        self.store.remove_layer(diff_id).map_err(to_image_error)
    }
}

impl Engine {
    /// Where the layers of an image go.
    pub(crate) fn layer_sink(&self) -> Sink<'_> {
        Sink { store: &self.rootfs, kept: BTreeSet::new(), strays: self.layout.stray_layers() }
    }

    /// As [`Engine::layer_sink`], for verbs that remove images.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub(crate) fn removal_sink(&self) -> Result<Sink<'_>> {
        Ok(Sink { store: &self.rootfs, kept: self.layers_of_containers()?, strays: self.layout.stray_layers() })
    }

    /// Layers that containers stand on.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub(crate) fn layers_of_containers(&self) -> Result<BTreeSet<Digest>> {
        Ok(self.records()?.into_iter().flat_map(|record| record.layers).collect())
    }
}
