//! What every verb that makes an image needs: a fresh configuration, a name, and where the layers go.

use std::io::Read;

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
pub(crate) struct Sink<'a>(&'a bulkhead_rootfs::Store);

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
        self.0.has_layer(diff_id)
    }

    fn stage(
        &self,
        diff_id: &Digest,
        blob: &mut dyn Read,
    ) -> std::result::Result<Box<dyn StagedLayer>, bulkhead_image::Error> {
        let staged = self.0.stage_layer(diff_id, blob).map_err(to_image_error)?;
        Ok(Box::new(Staged(staged)))
    }

    fn size(&self, diff_id: &Digest) -> u64 {
        self.0.layer_size(diff_id)
    }

    fn remove(&self, diff_id: &Digest) -> std::result::Result<(), bulkhead_image::Error> {
        self.0.remove_layer(diff_id).map_err(to_image_error)
    }
}

impl Engine {
    /// Where the layers of an image go.
    pub(crate) fn layer_sink(&self) -> Sink<'_> {
        Sink(&self.rootfs)
    }
}
