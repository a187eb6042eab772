//! The room's door.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use bulkhead_types::{Digest, IdMap, IdRange};

use crate::model::{BindOptions, Change, Error, Volume};

/// Layers, containers' writable parts, volumes and ranges below `<root>`; mounts and live marks below `<run>`.
#[derive(Debug)]
pub struct Store {
    _private: (),
}

/// A complete layer that is not visible yet. Dropping it removes it.
#[derive(Debug)]
pub struct Staged {
    _private: (),
}

impl Staged {
    /// Makes it visible (fsync, rename).
    ///
    /// # Errors
    /// If the disk is full.
    pub fn commit(self) -> Result<(), Error> {
        todo!("rootfs")
    }
}

/// An opened bind source.
#[derive(Debug)]
pub struct Bound {
    /// Detached, idmapped mount.
    pub mount: OwnedFd,
    /// True for anything but a directory.
    pub file: bool,
    /// The path after links, for `inspect`.
    pub resolved: PathBuf,
}

#[allow(unused_variables)]
impl Store {
    /// Opens (creating, 0700) the directories. On the start path: does as little as possible.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn open(root: &Path, run: &Path) -> Result<Self, Error> {
        todo!("rootfs")
    }

    // Layers.

    /// True if the layer is ready.
    #[must_use]
    pub fn has_layer(&self, diff_id: &Digest) -> bool {
        todo!("rootfs")
    }

    /// Takes in a compressed layer while it streams, verifies its diff id, and holds it back until committed.
    ///
    /// # Errors
    /// If it is hostile (the entry is named), truncated, or hashes otherwise; nothing is left behind.
    pub fn stage_layer(&self, diff_id: &Digest, blob: &mut dyn Read) -> Result<Staged, Error> {
        todo!("rootfs")
    }

    /// Bytes on disk of a ready layer.
    #[must_use]
    pub fn layer_size(&self, diff_id: &Digest) -> u64 {
        todo!("rootfs")
    }

    /// Unmounts and removes a layer.
    ///
    /// # Errors
    /// If an overlay uses it.
    pub fn remove_layer(&self, diff_id: &Digest) -> Result<(), Error> {
        todo!("rootfs")
    }

    /// All ready layers.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn layers(&self) -> Result<Vec<Digest>, Error> {
        todo!("rootfs")
    }

    // Id ranges.

    /// Lends an unused range to `holder` (a container id; one component, safe as a file name). The same holder gets
    /// the same range again. Safe among concurrent processes and after crashes.
    ///
    /// # Errors
    /// If none is left, or (rootless) the user has no subordinate ids; the text names the cure.
    pub fn lease_range(&self, holder: &str) -> Result<IdRange, Error> {
        todo!("rootfs")
    }

    /// Takes a range back. A holder without one is no error.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn release_range(&self, holder: &str) -> Result<(), Error> {
        todo!("rootfs")
    }

    /// All holders with their ranges, for repair.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn ranges(&self) -> Result<Vec<(String, IdRange)>, Error> {
        todo!("rootfs")
    }

    // Containers' writable parts.

    /// Makes the upper and work directories of `id`.
    ///
    /// # Errors
    /// Conflict if they exist.
    pub fn create_upper(&self, id: &str) -> Result<(), Error> {
        todo!("rootfs")
    }

    /// A detached overlay of these layers (bottom first) and the upper directory of `id`, idmapped by `ids`.
    ///
    /// # Errors
    /// If a layer is missing or the kernel refuses; the text names the cure.
    pub fn mount(&self, id: &str, layers: &[Digest], ids: &IdMap) -> Result<OwnedFd, Error> {
        todo!("rootfs")
    }

    /// Removes the upper and work directories. Missing ones are no error.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn remove_upper(&self, id: &str) -> Result<(), Error> {
        todo!("rootfs")
    }

    /// All ids with an upper directory, for repair.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn uppers(&self) -> Result<Vec<String>, Error> {
        todo!("rootfs")
    }

    /// What changed against the layers, sorted by path.
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn changes(&self, id: &str, layers: &[Digest]) -> Result<Vec<Change>, Error> {
        todo!("rootfs")
    }

    /// The changes as a layer: a tar with whiteouts in the image spec's form and ids of the container.
    ///
    /// # Errors
    /// If reading or writing fails.
    pub fn write_changes(&self, id: &str, layers: &[Digest], out: &mut dyn Write) -> Result<(), Error> {
        todo!("rootfs")
    }

    /// Bytes of the upper directory.
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn upper_size(&self, id: &str) -> Result<u64, Error> {
        todo!("rootfs")
    }

    /// Reads a small file (at most `limit` bytes) out of a mounted root, links followed inside only. `None` if missing.
    ///
    /// # Errors
    /// If it is larger or cannot be read.
    pub fn read_file(&self, root: BorrowedFd<'_>, path: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        todo!("rootfs")
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
        todo!("rootfs")
    }

    /// One volume; `None` if there is none of that name.
    ///
    /// # Errors
    /// If its record is damaged.
    pub fn volume(&self, name: &str) -> Result<Option<Volume>, Error> {
        todo!("rootfs")
    }

    /// All volumes by name.
    ///
    /// # Errors
    /// If a record is damaged.
    pub fn volumes(&self) -> Result<Vec<Volume>, Error> {
        todo!("rootfs")
    }

    /// The data directory on the host, for `inspect`.
    #[must_use]
    pub fn volume_path(&self, name: &str) -> PathBuf {
        todo!("rootfs")
    }

    /// Bytes of a volume.
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn volume_size(&self, name: &str) -> Result<u64, Error> {
        todo!("rootfs")
    }

    /// Removes a volume with its data.
    ///
    /// # Errors
    /// NotFound, or something cannot be removed.
    pub fn remove_volume(&self, name: &str) -> Result<(), Error> {
        todo!("rootfs")
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
        todo!("rootfs")
    }

    /// A detached, idmapped mount of a host path.
    ///
    /// # Errors
    /// NotFound; Denied if it is one of our own directories or an engine socket.
    pub fn bind(&self, source: &Path, ids: &IdMap, options: BindOptions) -> Result<Bound, Error> {
        todo!("rootfs")
    }

    /// A detached mount of a small file that the engine wrote (`hosts`, `hostname`, `resolv.conf`) in the container's
    /// own directory, owned by root inside and writable there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn engine_file(&self, id: &str, name: &str, contents: &[u8], ids: &IdMap) -> Result<OwnedFd, Error> {
        todo!("rootfs")
    }

    /// Unmounts every layer and forgets crashed transfers.
    ///
    /// # Errors
    /// If a layer is in use.
    pub fn release(&self) -> Result<(), Error> {
        todo!("rootfs")
    }
}
