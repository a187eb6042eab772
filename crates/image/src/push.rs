//! Push: blobs that the registry lacks, then the manifest, all with the very bytes that are stored.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bulkhead_types::{Digest, ErrorClass, ImageRef};

use crate::manifest::{Descriptor, OCI_MANIFEST};
use crate::model::{Error, Progress};
use crate::refs::Table;
use crate::remote::{Access, Failure, Registry, retrying};
use crate::shelf::Shelf;

const WORKERS: usize = 3;
/// Repositories that are tried as a source of a mount; each adds to the token's scope.
const MOUNT_SOURCES: usize = 3;
/// Bytes between two reports.
const REPORT: u64 = 1 << 20;

pub(crate) fn push(
    shelf: &Shelf,
    reference: &ImageRef,
    credentials: Option<(String, String)>,
    progress: &dyn Progress,
) -> Result<Digest, Error> {
    let Some(tag) = reference.tag() else {
        return Err(Error::new(
            ErrorClass::Invalid,
            format!("{} cannot be pushed: give name:tag", reference.familiar()),
        ));
    };
    let _holding = shelf.hold()?;
    let table = Table::read(&shelf.blobs)?;
    let digest = table.by_name(reference).ok_or_else(|| {
        Error::new(
            ErrorClass::NotFound,
            format!("An image does not exist locally with the tag: {}", reference.familiar_name()),
        )
    })?;
    let (manifest, bytes) = shelf.manifest(&digest)?;
    let mut blobs: Vec<Descriptor> = Vec::new();
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        if !blobs.iter().any(|other| other.digest == blob.digest) {
            blobs.push(blob.clone());
        }
    }
    let mut registry = Registry::open(reference, Access::Push, credentials)?;
    let neighbours = neighbours(shelf, &table, reference, &digest)?;
    registry.also_read(&neighbours);
    let upload = Upload { shelf, registry, neighbours, progress };
    progress.update("", &format!("The push refers to repository [{}]", reference.familiar_name()), 0, 0);
    upload.all(&blobs)?;
    let kind = if manifest.media_type.is_empty() { OCI_MANIFEST } else { &manifest.media_type };
    upload.registry.put_manifest(tag, kind, &bytes)?;
    if let Some(pin) = crate::refs::pinned(reference, &digest) {
        shelf.register(&digest, &manifest.config.digest, &[pin])?;
    }
    progress.update("", &format!("{tag}: digest: {digest} size: {}", bytes.len()), 0, 0);
    Ok(digest)
}

/// Other repositories of the same registry that an image with a common layer came from or went to.
fn neighbours(shelf: &Shelf, table: &Table, reference: &ImageRef, digest: &Digest) -> Result<Vec<String>, Error> {
    let ours = shelf.image(table, digest)?.layers;
    let mut found = Vec::new();
    for (name, manifest) in &table.references {
        // Only a pinned name says that the registry really has it.
        let known = name.digest().is_some() && name.registry() == reference.registry();
        if !known || name.repository() == reference.repository() || found.iter().any(|other| other == name.repository())
        {
            continue;
        }
        let theirs = shelf.image(table, manifest)?.layers;
        if theirs.iter().any(|layer| ours.iter().any(|own| own.digest == layer.digest)) {
            found.push(name.repository().to_owned());
        }
    }
    found.truncate(MOUNT_SOURCES);
    Ok(found)
}

struct Upload<'a> {
    shelf: &'a Shelf,
    registry: Registry,
    neighbours: Vec<String>,
    progress: &'a dyn Progress,
}

impl Upload<'_> {
    fn all(&self, blobs: &[Descriptor]) -> Result<(), Error> {
        let next = AtomicUsize::new(0);
        let failure: Mutex<Option<Error>> = Mutex::new(None);
        let failed = || failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let worker = || {
            while let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                if failed() {
                    return;
                }
                if let Err(why) = self.one(blob) {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..WORKERS.min(blobs.len()) {
                scope.spawn(worker);
            }
            worker();
        });
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn one(&self, blob: &Descriptor) -> Result<(), Error> {
        let (id, size) = (blob.digest.short(), blob.size);
        self.progress.update(id, "Preparing", 0, size);
        if self.registry.has_blob(&blob.digest)? {
            self.progress.update(id, "Layer already exists", size, size);
            return Ok(());
        }
        let mut from = self.neighbours.iter();
        retrying(|| {
            // A refused mount begins an upload all the same; an attempt that fails later begins a fresh one.
            let source = from.next().map(String::as_str);
            let Some(to) = self.registry.begin_upload(&blob.digest, source)? else {
                self.progress.update(id, "Mounted", size, size);
                return Ok(());
            };
            self.send(blob, &to)?;
            self.progress.update(id, "Pushed", size, size);
            Ok(())
        })
    }

    fn send(&self, blob: &Descriptor, to: &ureq::http::Uri) -> Result<(), Failure> {
        let file = self.shelf.blobs.open_blob(&blob.digest)?.ok_or_else(|| {
            let text = format!("blob {} is missing from the image store: pull the image again", blob.digest);
            Failure::lasting(Error::new(ErrorClass::Internal, text))
        })?;
        let mut source = Reporting { file, sent: 0, told: 0, blob, progress: self.progress };
        self.registry.upload(to, &blob.digest, blob.size, &mut source)
    }
}

/// Tells how much has been read.
struct Reporting<'a> {
    file: std::fs::File,
    sent: u64,
    told: u64,
    blob: &'a Descriptor,
    progress: &'a dyn Progress,
}

impl Read for Reporting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.sent += count as u64;
        if self.sent >= self.told + REPORT {
            self.told = self.sent;
            self.progress.update(self.blob.digest.short(), "Pushing", self.sent, self.blob.size);
        }
        Ok(count)
    }
}
