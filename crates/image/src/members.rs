//! The files of an archive being loaded.
//!
//! The order of an archive's entries is unknown and a pipe cannot be read twice: large files go into the blob store as
//! they come, under their own digest; small ones stay in memory. What no image needs in the end is removed.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use bulkhead_archive::hash::{Hasher, HashingWriter};
use bulkhead_archive::tar::{self, Kind};
use bulkhead_archive::{Limits, compress};
use bulkhead_types::{Algorithm, Digest, ErrorClass};

use crate::model::Error;
use crate::shelf::Shelf;

/// Files up to this size stay in memory…
const SMALL: u64 = 64 << 10;
/// … until there are this many bytes of them.
const SMALL_TOTAL: u64 = 64 << 20;
/// Files of an archive: an image of 500 layers in Docker's oldest form has 1,500.
const FILES: u64 = 100_000;
/// A link may lead to a link, so often.
const LINK_HOPS: u32 = 8;

pub(crate) fn refused(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorClass::Invalid, format!("the archive is refused: {why}"))
}

/// A file of the archive.
#[derive(Clone, Debug)]
enum File {
    Small(Vec<u8>),
    Stored(Digest, u64),
    /// Another path of the archive.
    Link(String),
}

/// The archive's files by path. Paths are only ever looked up in this table, never in a file system.
#[derive(Debug, Default)]
pub(crate) struct Files {
    files: BTreeMap<String, File>,
}

impl Files {
    pub(crate) fn read(shelf: &Shelf, archive: &mut dyn Read) -> Result<Self, Error> {
        let limits = Limits { entries: FILES, ..Limits::default() };
        let (_, plain) = compress::decoder(archive, limits).map_err(refused)?;
        let mut reader = tar::Reader::new(plain, limits);
        let mut files = Self::default();
        let mut in_memory = 0;
        while let Some(entry) = reader.next_entry().map_err(refused)? {
            let path = String::from_utf8_lossy(&entry.path).into_owned();
            let file = match entry.kind {
                Kind::Directory => continue,
                Kind::File { size } if size <= SMALL && in_memory + size <= SMALL_TOTAL => {
                    in_memory += size;
                    let mut bytes = Vec::new();
                    reader.content().read_to_end(&mut bytes).map_err(refused)?;
                    File::Small(bytes)
                }
                Kind::File { .. } => {
                    let (digest, size) = store(shelf, reader.content(), algorithm(&path))?;
                    File::Stored(digest, size)
                }
                Kind::Symlink { target } => File::Link(beside(&path, &String::from_utf8_lossy(&target))),
                Kind::Hardlink { target } => File::Link(String::from_utf8_lossy(&target).into_owned()),
                Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo => {
                    return Err(refused(format_args!("entry {path:?} is a device or a pipe")));
                }
            };
            if files.files.insert(path.clone(), file).is_some() {
                return Err(refused(format_args!("entry {path:?} is there twice")));
            }
        }
        reader.finish().map_err(refused)?;
        Ok(files)
    }

    fn get(&self, path: &str) -> Option<&File> {
        let mut path = path.to_owned();
        for _ in 0..LINK_HOPS {
            match self.files.get(&path)? {
                File::Link(target) => path.clone_from(target),
                file => return Some(file),
            }
        }
        None
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.get(path).is_some()
    }

    /// A document's bytes, `None` if there is no such file.
    pub(crate) fn document(&self, shelf: &Shelf, path: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.get(path) {
            None | Some(File::Link(_)) => Ok(None),
            Some(File::Small(bytes)) => Ok(Some(bytes.clone())),
            Some(File::Stored(digest, size)) if *size <= crate::manifest::DOCUMENT_LIMIT => {
                shelf.blobs.read(digest, crate::manifest::DOCUMENT_LIMIT)
            }
            Some(File::Stored(_, size)) => {
                Err(refused(format_args!("{path:?} should be a small document, it has {size} bytes")))
            }
        }
    }

    /// Makes sure that a file is a blob; returns its digest, size and first bytes.
    pub(crate) fn blob(&self, shelf: &Shelf, path: &str) -> Result<(Digest, u64, Vec<u8>), Error> {
        match self.get(path) {
            None | Some(File::Link(_)) => Err(refused(format_args!("{path:?} is missing"))),
            Some(File::Small(bytes)) => {
                let mut hasher = Hasher::new(algorithm(path));
                hasher.update(bytes);
                let digest = hasher.finish();
                shelf.blobs.put_as(bytes, &digest)?;
                Ok((digest, bytes.len() as u64, bytes.iter().copied().take(8).collect()))
            }
            Some(File::Stored(digest, size)) => {
                let file =
                    shelf.blobs.open_blob(digest)?.ok_or_else(|| refused(format_args!("{path:?} is missing")))?;
                let mut head = Vec::new();
                file.take(8)
                    .read_to_end(&mut head)
                    .map_err(|cause| Error::io(format_args!("reading {digest}"), &cause))?;
                Ok((digest.clone(), *size, head))
            }
        }
    }
}

/// The algorithm that a blob's place in an OCI layout tells; SHA-256 elsewhere.
fn algorithm(path: &str) -> Algorithm {
    if path.starts_with("blobs/sha512/") { Algorithm::Sha512 } else { Algorithm::Sha256 }
}

fn store(shelf: &Shelf, content: &mut dyn Read, algorithm: Algorithm) -> Result<(Digest, u64), Error> {
    let spool = shelf.blobs.spool()?;
    let mut out = HashingWriter::new(&spool.file, algorithm);
    let mut buffer = vec![0u8; 256 << 10];
    loop {
        // Reading fails because of the archive, writing because of the disk.
        match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => out.write_all(&buffer[..count]).map_err(|cause| Error::io("storing the archive", &cause))?,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(refused(cause)),
        }
    }
    let (_, digest, size) = out.finish();
    if shelf.blobs.size_of(&digest)?.is_none() {
        spool.keep(&digest)?;
    }
    Ok((digest, size))
}

/// Where a relative link leads, as a path of the archive.
fn beside(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { path.split('/').collect() };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_in_the_archive() {
        assert_eq!(beside("b/layer.tar", "../a/layer.tar"), "a/layer.tar");
        assert_eq!(beside("b/layer.tar", "../../../etc/passwd"), "etc/passwd");
        assert_eq!(beside("layer.tar", "./x"), "x");
        assert_eq!(beside("a/b", "/c/d"), "c/d");
    }
}
