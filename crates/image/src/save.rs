//! Save: one archive that is an OCI layout and a docker archive at once, as Docker since 25 writes it. The same images
//! give the same bytes.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use bulkhead_archive::tar::{Entry, Kind, Writer};
use bulkhead_types::{Digest, ErrorClass, ImageRef};
use serde_json::{Value, json};

use crate::manifest::{OCI_INDEX, OCI_MANIFEST};
use crate::model::{Error, Image, SaveFormat};
use crate::shelf::Shelf;

/// Annotation with the tag alone (OCI image spec).
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation with the whole name, which Docker and containerd read.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";

/// One image and the names to save it under.
struct Chosen {
    image: Image,
    names: Vec<ImageRef>,
}

pub(crate) fn save(shelf: &Shelf, names: &[String], format: SaveFormat, out: &mut dyn Write) -> Result<(), Error> {
    let _holding = shelf.hold()?;
    let chosen = choose(shelf, names)?;
    let mut blobs: BTreeMap<Digest, u64> = BTreeMap::new();
    let mut entries = Vec::new();
    for one in &chosen {
        let (manifest, bytes) = shelf.manifest(&one.image.manifest)?;
        blobs.insert(one.image.manifest.clone(), bytes.len() as u64);
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            blobs.insert(blob.digest.clone(), blob.size);
        }
        let kind = if manifest.media_type.is_empty() { OCI_MANIFEST.to_owned() } else { manifest.media_type };
        entries.extend(index_entries(one, &kind, bytes.len()));
    }
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
    let mut archive = Archive { writer: Writer::new(out) };
    archive.directories(&blobs)?;
    for (digest, size) in &blobs {
        archive.blob(shelf, digest, *size)?;
    }
    archive.text("index.json", &index)?;
    if format == SaveFormat::DockerArchive {
        archive.text("manifest.json", &docker_manifest(&chosen))?;
    }
    archive.text("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?;
    archive.writer.finish().map(|_| ()).map_err(|cause| failed(&cause))
}

fn failed(cause: &io::Error) -> Error {
    Error::io("writing the archive", cause)
}

/// The images, each once, with the names that were asked for. An id alone is saved without a name.
fn choose(shelf: &Shelf, names: &[String]) -> Result<Vec<Chosen>, Error> {
    if names.is_empty() {
        return Err(Error::new(ErrorClass::Invalid, "name at least one image to save"));
    }
    let mut chosen: Vec<Chosen> = Vec::new();
    for name in names {
        let image = shelf.get(name)?;
        let named =
            name.parse::<ImageRef>().ok().filter(|name| name.tag().is_some() && image.references.contains(name));
        let place = match chosen.iter_mut().find(|one| one.image.manifest == image.manifest) {
            Some(place) => place,
            None => {
                chosen.push(Chosen { image, names: Vec::new() });
                let last = chosen.len() - 1;
                &mut chosen[last]
            }
        };
        place.names.extend(named.filter(|name| !place.names.contains(name)));
    }
    chosen.sort_by(|a, b| a.image.manifest.cmp(&b.image.manifest));
    for one in &mut chosen {
        one.names.sort();
    }
    Ok(chosen)
}

/// One entry of `index.json` for each name, or one without any.
fn index_entries(one: &Chosen, media_type: &str, size: usize) -> Vec<Value> {
    let entry = json!({ "mediaType": media_type, "digest": one.image.manifest, "size": size });
    if one.names.is_empty() {
        return vec![entry];
    }
    let named = |name: &ImageRef| {
        let mut entry = entry.clone();
        entry["annotations"] = json!({ IMAGE_NAME: name.to_string(), REF_NAME: name.tag().unwrap_or("latest") });
        entry
    };
    one.names.iter().map(named).collect()
}

fn docker_manifest(chosen: &[Chosen]) -> Value {
    let place = |digest: &Digest| format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex());
    let one = |one: &Chosen| {
        let tags: Vec<String> = one.names.iter().map(ImageRef::familiar).collect();
        let layers: Vec<String> = one.image.layers.iter().map(|layer| place(&layer.digest)).collect();
        json!({ "Config": place(&one.image.id), "RepoTags": tags, "Layers": layers })
    };
    Value::Array(chosen.iter().map(one).collect())
}

/// The archive being written.
struct Archive<W: Write> {
    writer: Writer<W>,
}

impl<W: Write> Archive<W> {
    fn append(&mut self, path: &str, kind: Kind, mode: u32, content: &mut dyn Read) -> Result<(), Error> {
        let entry = Entry {
            path: path.as_bytes().to_vec(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: 0,
            mtime_nsec: 0,
            xattrs: Vec::new(),
        };
        self.writer.append(&entry, content).map_err(|cause| failed(&cause))
    }

    fn directories(&mut self, blobs: &BTreeMap<Digest, u64>) -> Result<(), Error> {
        self.append("blobs", Kind::Directory, 0o755, &mut io::empty())?;
        let mut algorithms: Vec<&str> = blobs.keys().map(|digest| digest.algorithm().as_str()).collect();
        algorithms.dedup();
        for algorithm in algorithms {
            self.append(&format!("blobs/{algorithm}"), Kind::Directory, 0o755, &mut io::empty())?;
        }
        Ok(())
    }

    fn blob(&mut self, shelf: &Shelf, digest: &Digest, size: u64) -> Result<(), Error> {
        let mut file = shelf.blobs.open_blob(digest)?.ok_or_else(|| {
            Error::new(
                ErrorClass::Internal,
                format!("the image store is damaged: blob {digest} is missing; pull or load the image again"),
            )
        })?;
        let path = format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex());
        self.append(&path, Kind::File { size }, 0o644, &mut file)
    }

    fn text(&mut self, path: &str, value: &Value) -> Result<(), Error> {
        let text = value.to_string();
        self.append(path, Kind::File { size: text.len() as u64 }, 0o644, &mut text.as_bytes())
    }
}
