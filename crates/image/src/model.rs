//! What the store hands out and takes in.

use std::io::Read;

use bulkhead_types::{Classified, Digest, ErrorClass, ImageRef, Platform};

use crate::config::ImageConfig;

/// An image that is wholly present and verified.
#[derive(Clone, Debug)]
pub struct Image {
    /// Digest of the configuration: Docker's image id.
    pub id: Digest,
    /// Digest of the manifest.
    pub manifest: Digest,
    /// The configuration.
    pub config: ImageConfig,
    /// Layers, bottom first.
    pub layers: Vec<Layer>,
    /// All references to it, tags and pinned digests.
    pub references: Vec<ImageRef>,
}

/// A layer as its manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the stored (compressed) blob.
    pub digest: Digest,
    /// Bytes of the stored blob.
    pub size: u64,
    /// Media type.
    pub media_type: String,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
}

/// Where layers go while they stream in.
pub trait LayerSink: Sync {
    /// True if this layer is ready for use already.
    fn has(&self, diff_id: &Digest) -> bool;
    /// Takes in a compressed blob while it arrives, verifies its diff id, and holds it back until it is committed.
    /// An error is a text that names the entry at fault.
    ///
    /// # Errors
    /// If the layer is hostile, damaged or does not hash to `diff_id`, or the disk is full.
    fn stage(&self, diff_id: &Digest, blob: &mut dyn Read) -> Result<Box<dyn StagedLayer>, Error>;
    /// Bytes that a ready layer occupies.
    fn size(&self, diff_id: &Digest) -> u64;
    /// Forgets a layer that no image names any more.
    ///
    /// # Errors
    /// If it is in use.
    fn remove(&self, diff_id: &Digest) -> Result<(), Error>;
}

/// A layer that is complete but not yet visible. Dropping it forgets it.
pub trait StagedLayer: Send {
    /// Makes it visible.
    ///
    /// # Errors
    /// If the disk is full.
    fn commit(self: Box<Self>) -> Result<(), Error>;
}

/// Told how far a transfer is. Called from several threads.
pub trait Progress: Sync {
    /// `id` is a short digest or empty for the whole; `total` is 0 if unknown.
    fn update(&self, id: &str, status: &str, current: u64, total: u64);
}

/// Tells nobody.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn update(&self, _: &str, _: &str, _: u64, _: u64) {}
}

/// What went wrong with which image, with the cure where there is one.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Class.
    pub class: ErrorClass,
    /// The whole text.
    pub message: String,
}

impl Error {
    /// A new error.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    /// A failed file operation; a full disk gets its cure.
    pub(crate) fn io(what: impl std::fmt::Display, cause: &std::io::Error) -> Self {
        let full = matches!(cause.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
        let cure = if full { "; `bulkhead image prune` and `bulkhead system df` help to make room" } else { "" };
        Self::new(ErrorClass::Internal, format!("{what}: {cause}{cure}"))
    }
}

impl Classified for Error {
    fn class(&self) -> ErrorClass {
        self.class
    }
}

/// One thing that `rmi` or `prune` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone.
    Untagged(ImageRef),
    /// The content with this id is gone.
    Deleted(Digest),
}

/// Form of a saved archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveFormat {
    /// `manifest.json` and an OCI layout in one archive, as Docker since 25 writes it: every reader understands it.
    #[default]
    DockerArchive,
    /// An OCI layout alone.
    OciArchive,
}

/// How a pull is done.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// Which image of an index.
    pub platform: Platform,
    /// Credentials that override the configuration file: user, password.
    pub credentials: Option<(String, String)>,
}
