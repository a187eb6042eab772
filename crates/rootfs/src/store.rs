//! The room's door.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use bulkhead_sys::root::Root;
use bulkhead_types::{Digest, IdMap, IdRange};

use crate::layer::{Converter, Staged};
use crate::model::{BindOptions, Bound, Change, Error, Volume};
use crate::place::Place;
use crate::{binds, changes, layer, overlay, ranges, shelf, uppers, volumes};

/// Layers, containers' writable parts, volumes and ranges below `<root>`; mounts and live marks below `<run>`.
#[derive(Debug)]
pub struct Store {
    place: Place,
    converter: Converter,
}

impl Store {
    /// Opens (creating, 0700) the directories. On the start path: does as little as possible.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn open(root: &Path, run: &Path) -> Result<Self, Error> {
        Ok(Self { place: Place::open(root, run)?, converter: Converter::InProcess })
    }

    /// Has new layers converted by this one instead of by this process.
    #[must_use]
    pub fn with_converter(self, converter: Converter) -> Self {
        Self { converter, ..self }
    }

    // Layers.

    /// True if the layer is ready.
    #[must_use]
    pub fn has_layer(&self, diff_id: &Digest) -> bool {
        shelf::has(&self.place, diff_id)
    }

    /// Takes in a compressed layer while it streams, verifies its diff id, and holds it back until committed.
    ///
    /// # Errors
    /// If it is hostile (the entry is named), truncated, or hashes otherwise; nothing is left behind.
    pub fn stage_layer(&self, diff_id: &Digest, blob: &mut dyn Read) -> Result<Staged, Error> {
        let layers = Root::new(self.place.dir(crate::place::LAYERS)?);
        layer::stage(&layers, diff_id, blob, &shelf::backend(&self.place)?, &self.converter)
    }

    /// Bytes on disk of a ready layer.
    #[must_use]
    pub fn layer_size(&self, diff_id: &Digest) -> u64 {
        shelf::size(&self.place, diff_id)
    }

    /// Unmounts and removes a layer.
    ///
    /// # Errors
    /// If an overlay uses it.
    pub fn remove_layer(&self, diff_id: &Digest) -> Result<(), Error> {
        shelf::remove(&self.place, diff_id)
    }

    /// All ready layers.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn layers(&self) -> Result<Vec<Digest>, Error> {
        shelf::all(&self.place)
    }

    // Id ranges.

    /// Lends an unused range to `holder` (a container id; one component, safe as a file name). The same holder gets
    /// the same range again. Safe among concurrent processes and after crashes.
    ///
    /// # Errors
    /// If none is left, or (rootless) the user has no subordinate ids; the text names the cure.
    pub fn lease_range(&self, holder: &str) -> Result<IdRange, Error> {
        ranges::lease(&self.place, holder)
    }

    /// Takes a range back. A holder without one is no error.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn release_range(&self, holder: &str) -> Result<(), Error> {
        ranges::release(&self.place, holder)
    }

    /// All holders with their ranges, for repair.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn ranges(&self) -> Result<Vec<(String, IdRange)>, Error> {
        ranges::all(&self.place)
    }

    // Containers' writable parts.

    /// Makes the upper and work directories of `id`.
    ///
    /// # Errors
    /// Conflict if they exist.
    pub fn create_upper(&self, id: &str) -> Result<(), Error> {
        uppers::create(&self.place, id, uppers::WORK)
    }

    /// As [`Store::create_upper`] for a container that is removed after its exit (`--rm`): nothing in it is ever synced
    /// to the disk, neither by `fsync(2)` inside nor, which costs most, when the container ends. A power cut loses it.
    ///
    /// # Errors
    /// Conflict if they exist.
    pub fn create_ephemeral_upper(&self, id: &str) -> Result<(), Error> {
        uppers::create(&self.place, id, uppers::SCRAP)
    }

    /// A detached overlay of these layers (bottom first) and the upper directory of `id`, idmapped by `ids`.
    ///
    /// # Errors
    /// If a layer is missing or the kernel refuses; the text names the cure.
    pub fn mount(&self, id: &str, layers: &[Digest], ids: &IdMap) -> Result<OwnedFd, Error> {
        overlay::mount(&self.place, id, layers, ids)
    }

    /// Closes what [`Store::mount`] used and does not need any more, which takes longer than opening it. Call it when
    /// the container runs; dropping the store does it too.
    pub fn settle(&self) {
        self.place.settle();
    }

    /// Removes the upper and work directories. Missing ones are no error.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn remove_upper(&self, id: &str) -> Result<(), Error> {
        uppers::remove(&self.place, id)
    }

    /// All ids with an upper directory, for repair.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn uppers(&self) -> Result<Vec<String>, Error> {
        uppers::all(&self.place)
    }

    /// What changed against the layers, sorted by path.
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn changes(&self, id: &str, layers: &[Digest]) -> Result<Vec<Change>, Error> {
        changes::list(&self.place, id, layers)
    }

    /// The changes as a layer: a tar with whiteouts in the image spec's form and ids of the container.
    ///
    /// # Errors
    /// If reading or writing fails.
    pub fn write_changes(&self, id: &str, layers: &[Digest], out: &mut dyn Write) -> Result<(), Error> {
        changes::write(&self.place, id, layers, out)
    }

    /// Bytes of the upper directory.
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn upper_size(&self, id: &str) -> Result<u64, Error> {
        uppers::size(&self.place, id)
    }

    /// Reads a small file (at most `limit` bytes) out of a mounted root, links followed inside only. `None` if missing.
    ///
    /// # Errors
    /// If it is larger or cannot be read.
    pub fn read_file(&self, root: BorrowedFd<'_>, path: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        uppers::read_file(root, path, limit)
    }

    // Volumes and binds.

    /// Makes a volume; `None` as name makes an anonymous one. An existing one of the same name is returned as it is.
    ///
    /// # Errors
    /// If the name is malformed or an option is not supported.
    pub fn create_volume(
        &self,
        name: Option<&str>,
        labels: BTreeMap<String, String>,
        options: BTreeMap<String, String>,
    ) -> Result<Volume, Error> {
        volumes::create(&self.place, name, labels, options)
    }

    /// One volume; `None` if there is none of that name.
    ///
    /// # Errors
    /// If its record is damaged.
    pub fn volume(&self, name: &str) -> Result<Option<Volume>, Error> {
        volumes::get(&self.place, name)
    }

    /// All volumes by name.
    ///
    /// # Errors
    /// If a record is damaged.
    pub fn volumes(&self) -> Result<Vec<Volume>, Error> {
        volumes::all(&self.place)
    }

    /// The data directory on the host, for `inspect`.
    #[must_use]
    pub fn volume_path(&self, name: &str) -> PathBuf {
        volumes::path(&self.place, name)
    }

    /// Bytes of a volume.
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn volume_size(&self, name: &str) -> Result<u64, Error> {
        volumes::size(&self.place, name)
    }

    /// Removes a volume with its data.
    ///
    /// # Errors
    /// NotFound, or something cannot be removed.
    pub fn remove_volume(&self, name: &str) -> Result<(), Error> {
        volumes::remove(&self.place, name)
    }

    /// A detached, idmapped mount of a volume (or of a folder in it). If the volume is empty and `populate` gives a
    /// mounted root and a path inside, that path's content is copied in first, with owners and modes (Docker does).
    ///
    /// # Errors
    /// NotFound, or the subpath leaves the volume.
    pub fn mount_volume(
        &self,
        name: &str,
        subpath: Option<&str>,
        ids: &IdMap,
        populate: Option<(BorrowedFd<'_>, &str)>,
    ) -> Result<Bound, Error> {
        volumes::mount(&self.place, name, subpath, ids, populate)
    }

    /// A detached, idmapped mount of a host path.
    ///
    /// # Errors
    /// NotFound; Denied if it is one of our own directories or an engine socket.
    pub fn bind(&self, source: &Path, ids: &IdMap, options: BindOptions) -> Result<Bound, Error> {
        binds::bind(&self.place, source, ids, options)
    }

    /// A detached mount of a small file that the engine wrote (`hosts`, `hostname`, `resolv.conf`) in the container's
    /// own directory, owned by root inside and writable there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn engine_file(&self, id: &str, name: &str, contents: &[u8], ids: &IdMap) -> Result<OwnedFd, Error> {
        uppers::engine_file(&self.place, id, name, contents, ids)
    }

    /// Unmounts every layer and forgets crashed transfers.
    ///
    /// # Errors
    /// If a layer is in use.
    pub fn release(&self) -> Result<(), Error> {
        shelf::release(&self.place)
    }
}
