//! Layers: a compressed tar becomes one EROFS image (or a directory), checked while it streams.
//!
//! Staging happens in `tmp/` below the layers' directory; what is staged carries a `flock`, so that the remains of a
//! crashed process are told from work that is going on. The next staging removes them.

#[cfg(test)]
mod contract;
mod convert;
mod directory;
mod erofs;
mod index;
mod jail;
mod pipe;
mod staging;

use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;

use bulkhead_archive::{Limits, tar};
use bulkhead_sys::root::Root;
use bulkhead_types::{Digest, ErrorClass, IdMap};

use crate::Error;

use index::{Index, Placed};
use staging::Place;

pub use jail::convert_layer;
pub use staging::Staged;
pub(crate) use staging::{list, size, sweep};

/// Who reads and writes a layer that becomes an image. A directory is always unpacked by ourselves, because that takes
/// the right to give files away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Converter {
    /// This process.
    #[default]
    InProcess,
    /// This program, started with the words `internal convert-layer DIFF_ID`; it calls [`convert_layer`].
    Program(PathBuf),
}

/// How a layer is kept.
#[derive(Clone, Debug)]
pub(crate) enum Backend {
    /// One EROFS image `<hex>.erofs`, mounted from its file; ids are the container's own.
    Erofs,
    /// A directory.
    Directory(Directory),
}

/// How a layer is unpacked where EROFS cannot be mounted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    /// `<hex>` without, `<hex>.<base>` with a base: a copy for one range.
    pub base: Option<u32>,
    /// Owners are stored as these map them; `None` stores the container's own ids.
    pub ids: Option<IdMap>,
    /// Overlay attributes in `user.` instead of `trusted.` (mounted with `userxattr`).
    pub user_xattrs: bool,
}

/// Takes in a compressed layer while it streams, verifies its diff id, and holds it back until committed.
///
/// # Errors
/// If it is hostile (the entry is named), truncated, or hashes otherwise; nothing is left behind.
pub(crate) fn stage(
    layers: &Root,
    diff_id: &Digest,
    blob: &mut dyn Read,
    backend: &Backend,
    converter: &Converter,
) -> Result<Staged, Error> {
    let place = begin(layers, diff_id, backend)?;
    match (backend, converter) {
        (Backend::Erofs, Converter::Program(program)) => {
            convert::convert(program, place.object().as_fd(), diff_id, blob)?;
        }
        _ => take_in(blob, diff_id, backend, place.object(), Limits::default())?,
    }
    Ok(Staged::new(place, diff_id, backend))
}

fn begin(layers: &Root, diff_id: &Digest, backend: &Backend) -> Result<Place, Error> {
    sweep(layers)?;
    Place::new(layers, diff_id, backend)
}

/// Reads the layer and writes it into `object`, a file or directory; its digest is the wanted one.
fn take_in(
    blob: &mut dyn Read,
    diff_id: &Digest,
    backend: &Backend,
    object: &(impl AsFd + Sync),
    limits: Limits,
) -> Result<(), Error> {
    let object = object.as_fd();
    pipe::expand(blob, diff_id.algorithm(), limits, |stream| {
        let reader = tar::Reader::new(stream, limits).end_mark_optional();
        let found = match backend {
            Backend::Erofs => write(reader, erofs::Writer::new(object), diff_id),
            Backend::Directory(how) => write(reader, directory::Writer::new(object, how), diff_id),
        }
        .map_err(|failure| failure.tell(diff_id))?;
        if found == *diff_id {
            return Ok(());
        }
        let text = format!("layer {diff_id} is damaged: its content has the digest {found}; pull or load it again");
        Err(Error::new(ErrorClass::Unavailable, text))
    })
}

fn tell_layer(diff_id: &Digest) -> String {
    format!("layer {}:{}", diff_id.algorithm().as_str(), diff_id.short())
}

/// What makes a layer out of entries.
trait Sink {
    /// Takes the content or the second name of an entry that is in the index.
    fn take<R: Read>(
        &mut self,
        index: &mut Index,
        entry: &tar::Entry,
        placed: Placed,
        content: &mut tar::Body<R>,
    ) -> Result<(), Failure>;

    /// Everything was taken.
    fn finish(self, index: &Index, diff_id: &Digest) -> Result<(), Failure>;
}

/// Why a layer was not written.
enum Failure {
    Refused { entry: Vec<u8>, reason: String },
    Archive(tar::Error),
    Disk(std::io::Error),
    Entry { entry: Vec<u8>, errno: rustix::io::Errno },
}

impl From<tar::Error> for Failure {
    fn from(error: tar::Error) -> Self {
        Self::Archive(error)
    }
}

impl Failure {
    fn tell(self, diff_id: &Digest) -> Error {
        let layer = tell_layer(diff_id);
        match self {
            Self::Refused { entry, reason } => {
                let entry = String::from_utf8_lossy(&entry);
                Error::new(ErrorClass::Unavailable, format!("{layer}: refused archive entry {entry:?}: {reason}"))
            }
            Self::Archive(error) => Error::new(ErrorClass::Unavailable, format!("{layer}: {error}")),
            Self::Entry { entry, errno } => {
                let entry = String::from_utf8_lossy(&entry);
                staging::full_or_damaged(&format!("writing {layer}, entry {entry:?}"), errno)
            }
            Self::Disk(error) => match rustix::io::Errno::from_io_error(&error) {
                Some(errno) => staging::full_or_damaged(&format!("writing {layer}"), errno),
                None => Error::new(ErrorClass::Internal, format!("writing {layer}: {error}")),
            },
        }
    }
}

/// Reads to the true end; returns the digest of the whole stream.
fn write<S: Sink>(mut reader: tar::Reader<pipe::Stream>, mut sink: S, diff_id: &Digest) -> Result<Digest, Failure> {
    let mut index = Index::new();
    while let Some(entry) = reader.next_entry()? {
        let placed = index.place(&entry).map_err(|reason| Failure::Refused { entry: entry.path.clone(), reason })?;
        if placed != Placed::Noted {
            sink.take(&mut index, &entry, placed, reader.content())?;
        }
    }
    let found = reader.finish()?.digest();
    if found == *diff_id {
        sink.finish(&index, diff_id)?;
    }
    Ok(found)
}
