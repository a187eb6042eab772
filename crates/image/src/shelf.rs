//! What is on the shelf: blobs and the table of names together, read as [`Image`]s.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::Path;

use bulkhead_types::{Digest, ErrorClass, ImageRef};

use crate::blobs::{Blobs, Hold};
use crate::config::ImageConfig;
use crate::manifest::{DOCUMENT_LIMIT, Document, Manifest};
use crate::model::{Error, Image, Layer};
use crate::refs::{Entry, Table, canonical};

/// Held shared by whoever adds blobs until a name leads to them, alone by whoever removes blobs.
const USE_LOCK: &str = "use.lock";

/// Blobs and names.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) blobs: Blobs,
}

/// While it lives, no blob is removed by anybody.
#[derive(Debug)]
pub(crate) struct Holding {
    _lock: Option<OwnedFd>,
}

/// An image that can be registered.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub(crate) manifest: Digest,
    /// Digest of the configuration.
    pub(crate) id: Digest,
    pub(crate) names: Vec<ImageRef>,
}

fn damaged(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorClass::Internal, format!("the image store is damaged: {what}; pull or load the image again"))
}

impl Shelf {
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        Ok(Self { blobs: Blobs::open(root)? })
    }

    /// Begins adding: clears what crashed loads left and keeps removers away.
    pub(crate) fn hold(&self) -> Result<Holding, Error> {
        let lock = self.blobs.lock(USE_LOCK, Hold::Shared, true)?;
        self.blobs.sweep(false)?;
        Ok(Holding { _lock: lock })
    }

    /// Begins removing blobs; `None` while somebody adds.
    pub(crate) fn hold_alone(&self) -> Result<Option<Holding>, Error> {
        Ok(self.blobs.lock(USE_LOCK, Hold::Alone, false)?.map(|lock| Holding { _lock: Some(lock) }))
    }

    pub(crate) fn find(&self, text: &str) -> Result<Option<Image>, Error> {
        let table = Table::read(&self.blobs)?;
        match table.resolve(text)? {
            Some(manifest) => self.image(&table, &manifest).map(Some),
            None => Ok(None),
        }
    }

    /// As [`Shelf::find`], but absence is an error.
    pub(crate) fn get(&self, text: &str) -> Result<Image, Error> {
        self.find(text)?.ok_or_else(|| Error::new(ErrorClass::NotFound, format!("No such image: {text}")))
    }

    /// All images, newest first; one per id.
    pub(crate) fn list(&self) -> Result<Vec<Image>, Error> {
        let table = Table::read(&self.blobs)?;
        let mut by_id: BTreeMap<&Digest, &Digest> = BTreeMap::new();
        for (manifest, entry) in &table.images {
            let named = table.references.values().any(|target| target == manifest);
            if named || !by_id.contains_key(&entry.id) {
                by_id.insert(&entry.id, manifest);
            }
        }
        let mut images =
            by_id.values().map(|manifest| self.image(&table, manifest)).collect::<Result<Vec<_>, Error>>()?;
        images.sort_by(|a, b| b.config.created.cmp(&a.config.created).then_with(|| a.id.cmp(&b.id)));
        Ok(images)
    }

    /// The image of a manifest that the table names.
    pub(crate) fn image(&self, table: &Table, manifest: &Digest) -> Result<Image, Error> {
        let (document, _) = self.manifest(manifest)?;
        let id = document.config.digest.clone();
        let config = self.config(&id)?;
        let layers = pair(&document, &config, &id.to_string())?;
        Ok(Image { references: table.names_of(&id), manifest: manifest.clone(), id, config, layers })
    }

    /// A stored manifest and its bytes.
    pub(crate) fn manifest(&self, digest: &Digest) -> Result<(Manifest, Vec<u8>), Error> {
        let bytes = self
            .blobs
            .read(digest, DOCUMENT_LIMIT)?
            .ok_or_else(|| damaged(format_args!("manifest {digest} is missing")))?;
        Ok((Document::image(&bytes, &digest.to_string())?, bytes))
    }

    fn config(&self, id: &Digest) -> Result<ImageConfig, Error> {
        let bytes = self
            .blobs
            .read(id, DOCUMENT_LIMIT)?
            .ok_or_else(|| damaged(format_args!("configuration {id} is missing")))?;
        parse_config(&bytes, &id.to_string())
    }

    /// Puts an image whose blobs are all here into the table, under these names. The last step of every way in.
    pub(crate) fn register(&self, manifest: &Digest, id: &Digest, names: &[ImageRef]) -> Result<Image, Error> {
        let sighting = Sighting { manifest: manifest.clone(), id: id.clone(), names: names.to_vec() };
        self.register_all(std::slice::from_ref(&sighting))?;
        self.image(&Table::read(&self.blobs)?, manifest)
    }

    /// As [`Shelf::register`], several in one step.
    pub(crate) fn register_all(&self, sightings: &[Sighting]) -> Result<(), Error> {
        Table::update(&self.blobs, |table| {
            for one in sightings {
                table.images.insert(one.manifest.clone(), Entry { id: one.id.clone() });
                for name in &one.names {
                    table.references.insert(canonical(name), one.manifest.clone());
                }
            }
            Ok(())
        })
    }

    /// True if some image here pairs this blob with this diff id, so that the pair was verified when it came.
    pub(crate) fn knows_pair(&self, blob: &Digest, diff_id: &Digest) -> Result<bool, Error> {
        let table = Table::read(&self.blobs)?;
        for manifest in table.images.keys() {
            // A damaged image vouches for nothing.
            let Ok(image) = self.image(&table, manifest) else { continue };
            if image.layers.iter().any(|layer| layer.digest == *blob && layer.diff_id == *diff_id) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Blobs and diff ids that the images of the table need.
    pub(crate) fn needed(&self, table: &Table) -> Result<(BTreeSet<Digest>, BTreeSet<Digest>), Error> {
        let (mut blobs, mut layers) = (BTreeSet::new(), BTreeSet::new());
        for manifest in table.images.keys() {
            let image = self.image(table, manifest)?;
            blobs.extend([manifest.clone(), image.id]);
            for layer in image.layers {
                blobs.insert(layer.digest);
                layers.insert(layer.diff_id);
            }
        }
        Ok((blobs, layers))
    }
}

/// Reads a configuration.
pub(crate) fn parse_config(bytes: &[u8], name: &str) -> Result<ImageConfig, Error> {
    serde_json::from_slice(bytes)
        .map_err(|cause| Error::new(ErrorClass::Invalid, format!("the configuration of {name} is refused: {cause}")))
}

/// The layers of a manifest with the diff ids that the configuration gives them.
pub(crate) fn pair(manifest: &Manifest, config: &ImageConfig, name: &str) -> Result<Vec<Layer>, Error> {
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        return Err(Error::new(
            ErrorClass::Invalid,
            format!(
                "{name} is refused: its manifest has {} layers, its configuration {}",
                manifest.layers.len(),
                diff_ids.len()
            ),
        ));
    }
    let layer = |(blob, diff_id): (&crate::manifest::Descriptor, &Digest)| Layer {
        digest: blob.digest.clone(),
        size: blob.size,
        media_type: blob.media_type.clone(),
        diff_id: diff_id.clone(),
    };
    Ok(manifest.layers.iter().zip(diff_ids).map(layer).collect())
}
