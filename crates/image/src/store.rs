//! The store's door: one method per verb.

use std::io::{Read, Write};
use std::path::Path;

use bulkhead_types::{Digest, ImageRef};

use crate::config::ImageConfig;
use crate::debian::DebianBase;
use crate::model::{Error, Image, LayerSink, Progress, PullOptions, Removed, SaveFormat};
use crate::shelf::Shelf;
use crate::{build, debian, load, pull, push, removal, save};

/// The content store below `<root>/images`.
#[derive(Debug)]
pub struct Store {
    shelf: Shelf,
}

impl Store {
    /// Opens (creating) the store. Does as little as possible: this is on the start path.
    ///
    /// # Errors
    /// If the directory cannot be made or has another version.
    pub fn open(root: &Path) -> Result<Self, Error> {
        Ok(Self { shelf: Shelf::open(root)? })
    }

    /// Finds an image by reference, id or unique id prefix. `None` if it is not here.
    ///
    /// # Errors
    /// If the text is malformed, the prefix ambiguous, or the store damaged.
    pub fn find(&self, text: &str) -> Result<Option<Image>, Error> {
        self.shelf.find(text)
    }

    /// All images, newest first; those without a reference (dangling) included.
    ///
    /// # Errors
    /// If the store is damaged.
    pub fn list(&self) -> Result<Vec<Image>, Error> {
        self.shelf.list()
    }

    /// Fetches an image: manifest, configuration, layers in parallel, each verified while streaming, resumed after a
    /// cut. The reference is written last.
    ///
    /// # Errors
    /// The registry's answer in words with the cure; nothing half-made is visible afterwards.
    pub fn pull(
        &self,
        reference: &ImageRef,
        options: &PullOptions,
        sink: &dyn LayerSink,
        progress: &dyn Progress,
    ) -> Result<Image, Error> {
        pull::pull(&self.shelf, reference, options, sink, progress)
    }

    /// Uploads an image under `reference`; blobs that are there already are not sent. Returns the manifest's digest.
    ///
    /// # Errors
    /// The registry's answer in words.
    pub fn push(
        &self,
        reference: &ImageRef,
        credentials: Option<(String, String)>,
        progress: &dyn Progress,
    ) -> Result<Digest, Error> {
        push::push(&self.shelf, reference, credentials, progress)
    }

    /// Reads a docker archive or an OCI layout archive from a file or a pipe, compressed or not.
    ///
    /// # Errors
    /// If it is neither, or hostile; nothing is kept then.
    pub fn load(
        &self,
        archive: &mut (dyn Read + Send),
        sink: &dyn LayerSink,
        progress: &dyn Progress,
    ) -> Result<Vec<Image>, Error> {
        load::load(&self.shelf, archive, sink, progress)
    }

    /// Writes images (references or ids) into one archive.
    ///
    /// # Errors
    /// If one does not exist, or writing fails.
    pub fn save(&self, names: &[String], format: SaveFormat, out: &mut dyn Write) -> Result<(), Error> {
        save::save(&self.shelf, names, format, out)
    }

    /// Makes an image of one layer from a tar of a root file system, compressed or not. `config.rootfs` is filled in.
    ///
    /// # Errors
    /// If the tar is hostile.
    pub fn import(
        &self,
        tar: &mut (dyn Read + Send),
        config: ImageConfig,
        reference: Option<&ImageRef>,
        sink: &dyn LayerSink,
    ) -> Result<Image, Error> {
        build::import(&self.shelf, tar, config, reference, sink)
    }

    /// Makes an image of `base`'s layers (none: from nothing) and one more, read as an uncompressed tar stream.
    /// `config.rootfs` is filled in; the history gets one entry.
    ///
    /// # Errors
    /// If the stream fails.
    pub fn add_layer(
        &self,
        base: Option<&Image>,
        tar: &mut (dyn Read + Send),
        config: ImageConfig,
        reference: Option<&ImageRef>,
        sink: &dyn LayerSink,
    ) -> Result<Image, Error> {
        build::add_layer(&self.shelf, base, tar, config, reference, sink)
    }

    /// Makes a Debian base image from the signed archive with `mmdebstrap`; the same snapshot gives the same digest.
    ///
    /// # Errors
    /// If a program is missing (with the cure), or the archive is not signed by the keyring.
    pub fn debian_base(
        &self,
        base: &DebianBase,
        reference: &ImageRef,
        sink: &dyn LayerSink,
        progress: &dyn Progress,
    ) -> Result<Image, Error> {
        debian::make(&self.shelf, base, reference, sink, progress)
    }

    /// Adds a name.
    ///
    /// # Errors
    /// If the source does not exist.
    pub fn tag(&self, source: &str, target: &ImageRef) -> Result<(), Error> {
        removal::tag(&self.shelf, source, target)
    }

    /// Removes a name, and with the last name the content. `in_use` is asked with the image's id when the content
    /// would go; what it names keeps the image. (With `force` the caller names only what force does not override.)
    ///
    /// # Errors
    /// Conflict if it is in use, or if an id with several names is given without `force`; NotFound.
    pub fn remove(
        &self,
        name: &str,
        force: bool,
        in_use: &dyn Fn(&Digest) -> Option<String>,
        sink: &dyn LayerSink,
    ) -> Result<Vec<Removed>, Error> {
        removal::remove(&self.shelf, name, force, in_use, sink)
    }

    /// Removes images that `keep` does not keep, blobs that no image names, and leftovers of crashed transfers.
    /// Returns what was done and the bytes freed.
    ///
    /// # Errors
    /// If the store is damaged.
    pub fn prune(&self, keep: &dyn Fn(&Image) -> bool, sink: &dyn LayerSink) -> Result<(Vec<Removed>, u64), Error> {
        removal::prune(&self.shelf, keep, sink)
    }

    /// Bytes of all blobs.
    ///
    /// # Errors
    /// If the store is damaged.
    pub fn size(&self) -> Result<u64, Error> {
        Ok(self.shelf.blobs.list()?.into_iter().map(|(_, size)| size).sum())
    }
}
