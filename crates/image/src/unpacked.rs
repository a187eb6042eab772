//! The images of an archive whose files are known: by its OCI index, or by Docker's `manifest.json`.

use std::collections::BTreeMap;

use bulkhead_types::{Digest, ImageRef, Platform};
use serde::Deserialize;

use crate::build::describe_as;
use crate::manifest::{Descriptor, Document, Index, LAYER, LAYER_GZIP, LAYER_ZSTD, OCI_CONFIG};
use crate::members::{Files, refused};
use crate::model::{Error, Layer};
use crate::pull::choose;
use crate::save::{IMAGE_NAME, REF_NAME};
use crate::shelf::{Shelf, Sighting, pair, parse_config};

const THIS: &str = "the archive";
const NESTING: u32 = 2;

/// One element of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// What an archive holds: an image to register, and the layers to take in first.
pub(crate) struct Unpacked {
    pub(crate) sighting: Sighting,
    pub(crate) layers: Vec<Layer>,
}

impl Unpacked {
    pub(crate) fn new(manifest: Digest, id: Digest, names: Vec<ImageRef>, layers: Vec<Layer>) -> Self {
        Self { sighting: Sighting { manifest, id, names }, layers }
    }
}

/// The images of an archive. An OCI index is preferred: its manifests keep their digests.
pub(crate) fn images(shelf: &Shelf, files: &Files) -> Result<Vec<Unpacked>, Error> {
    let docker: Option<Vec<DockerEntry>> = match files.document(shelf, "manifest.json")? {
        Some(bytes) => {
            Some(serde_json::from_slice(&bytes).map_err(|cause| refused(format_args!("manifest.json: {cause}")))?)
        }
        None => None,
    };
    let index = if files.has("oci-layout") { files.document(shelf, "index.json")? } else { None };
    let found = match (index, &docker) {
        (Some(bytes), docker) => match Document::parse(&bytes, None, THIS)? {
            Document::Index(index) => from_index(shelf, files, &index, docker.as_deref().unwrap_or_default())?,
            Document::Manifest(_) => return Err(refused("its index.json is no index")),
        },
        (None, Some(entries)) => {
            entries.iter().map(|entry| from_docker(shelf, files, entry)).collect::<Result<Vec<_>, Error>>()?
        }
        (None, None) if files.has("repositories") => {
            return Err(refused("it was written by Docker before 1.10: load it there and save it anew"));
        }
        (None, None) => {
            return Err(refused(
                "it is neither a docker archive (manifest.json) nor an OCI layout (index.json); a root file system \
                 is read by `bulkhead import`",
            ));
        }
    };
    if found.is_empty() { Err(refused("it holds no image")) } else { Ok(found) }
}

fn from_index(shelf: &Shelf, files: &Files, index: &Index, docker: &[DockerEntry]) -> Result<Vec<Unpacked>, Error> {
    let mut tags: BTreeMap<Digest, Vec<ImageRef>> = BTreeMap::new();
    for entry in docker {
        if let Some(bytes) = files.document(shelf, &entry.config)? {
            tags.entry(bulkhead_archive::hash::Hasher::sha256(&bytes)).or_default().extend(repo_tags(entry)?);
        }
    }
    let mut found: Vec<Unpacked> = Vec::new();
    for entry in &index.manifests {
        // Attestations are images of no system.
        if entry.platform.as_ref().is_some_and(|target| target.os == "unknown") {
            continue;
        }
        let (digest, bytes) = image_manifest(shelf, files, entry)?;
        let manifest = Document::image(&bytes, THIS)?;
        let id = manifest.config.digest.clone();
        let config = parse_config(&member(shelf, files, &manifest.config)?, THIS)?;
        let layers = pair(&manifest, &config, THIS)?;
        for layer in &manifest.layers {
            check_member(shelf, files, layer)?;
        }
        check_member(shelf, files, &manifest.config)?;
        shelf.blobs.put_as(&bytes, &digest)?;
        let mut names: Vec<ImageRef> = annotated(entry)?.into_iter().collect();
        names.extend(tags.remove(&id).unwrap_or_default());
        match found.iter_mut().find(|other| other.sighting.manifest == digest) {
            Some(other) => other.sighting.names.extend(names),
            None => found.push(Unpacked::new(digest, id, names, layers)),
        }
    }
    for one in &mut found {
        one.sighting.names.sort();
        one.sighting.names.dedup();
    }
    Ok(found)
}

/// The manifest of an index entry, through nested indexes for this machine's platform.
fn image_manifest(shelf: &Shelf, files: &Files, entry: &Descriptor) -> Result<(Digest, Vec<u8>), Error> {
    let mut entry = entry.clone();
    for _ in 0..=NESTING {
        let bytes = member(shelf, files, &entry)?;
        match Document::parse(
            &bytes,
            Some(&entry.media_type).filter(|kind| !kind.is_empty()).map(String::as_str),
            THIS,
        )? {
            Document::Manifest(_) => return Ok((entry.digest, bytes)),
            Document::Index(index) => {
                let (digest, size) = choose(&index, &Platform::host(), THIS)?;
                entry = Descriptor { media_type: String::new(), digest, size, platform: None, annotations: None };
            }
        }
    }
    Err(refused("its indexes are nested too deeply"))
}

fn place(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// Makes sure that a blob is in the archive (or here already), whole.
fn check_member(shelf: &Shelf, files: &Files, wanted: &Descriptor) -> Result<(), Error> {
    let path = place(&wanted.digest);
    if !files.has(&path) && shelf.blobs.size_of(&wanted.digest)? == Some(wanted.size) {
        return Ok(());
    }
    let (digest, size, _) = files.blob(shelf, &path)?;
    if digest != wanted.digest || size != wanted.size {
        return Err(refused(format_args!("{path} hashes to {digest} and has {size} bytes, not {}", wanted.size)));
    }
    Ok(())
}

/// A verified document.
fn member(shelf: &Shelf, files: &Files, wanted: &Descriptor) -> Result<Vec<u8>, Error> {
    let path = place(&wanted.digest);
    let bytes = files.document(shelf, &path)?.ok_or_else(|| refused(format_args!("{path} is missing")))?;
    let mut hasher = bulkhead_archive::hash::Hasher::new(wanted.digest.algorithm());
    hasher.update(&bytes);
    if bytes.len() as u64 != wanted.size || hasher.finish() != wanted.digest {
        return Err(refused(format_args!("{path} does not hold what its name says")));
    }
    Ok(bytes)
}

/// The name in an index entry's annotations. A bare tag is no name.
fn annotated(entry: &Descriptor) -> Result<Option<ImageRef>, Error> {
    let Some(annotations) = &entry.annotations else { return Ok(None) };
    let whole = annotations.get(IMAGE_NAME);
    let partial = annotations.get(REF_NAME).filter(|name| name.contains([':', '/']));
    whole.or(partial).map(|name| name.parse().map_err(refused)).transpose()
}

fn repo_tags(entry: &DockerEntry) -> Result<Vec<ImageRef>, Error> {
    entry.repo_tags.iter().flatten().map(|name| name.parse().map_err(refused)).collect()
}

fn from_docker(shelf: &Shelf, files: &Files, entry: &DockerEntry) -> Result<Unpacked, Error> {
    let bytes = files
        .document(shelf, &entry.config)?
        .ok_or_else(|| refused(format_args!("the configuration {:?} is missing", entry.config)))?;
    let config = parse_config(&bytes, &entry.config)?;
    let paths = entry.layers.as_deref().unwrap_or_default();
    if paths.len() != config.rootfs.diff_ids.len() {
        let (have, want) = (paths.len(), config.rootfs.diff_ids.len());
        return Err(refused(format_args!("manifest.json names {have} layers, the configuration {want}")));
    }
    let mut layers = Vec::new();
    for (path, diff_id) in paths.iter().zip(&config.rootfs.diff_ids) {
        let (digest, size, head) = files.blob(shelf, path)?;
        layers.push(Layer { digest, size, media_type: media_type(&head).into(), diff_id: diff_id.clone() });
    }
    let id = shelf.blobs.put(&bytes)?;
    let config = Descriptor {
        media_type: OCI_CONFIG.into(),
        digest: id.clone(),
        size: bytes.len() as u64,
        platform: None,
        annotations: None,
    };
    let manifest = describe_as(shelf, &layers, config)?;
    Ok(Unpacked::new(manifest, id, repo_tags(entry)?, layers))
}

/// By the magic numbers of RFC 1952 and RFC 8878.
fn media_type(head: &[u8]) -> &'static str {
    match head {
        [0x1f, 0x8b, ..] => LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => LAYER_ZSTD,
        _ => LAYER,
    }
}
