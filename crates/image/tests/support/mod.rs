//! What the tests of this room share: a sink that checks, images made on the spot, and registries, real and bad ones.
#![allow(dead_code, missing_docs, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used)]

pub mod fake;
pub mod programs;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bulkhead_archive::hash::HashingReader;
use bulkhead_archive::tar::{Entry, Kind, Writer};
use bulkhead_archive::{Limits, compress};
use bulkhead_image::config::ImageConfig;
use bulkhead_image::{Error, Image, LayerSink, Progress, PullOptions, Silent, StagedLayer, Store};
use bulkhead_types::{Algorithm, Digest, ErrorClass, ImageRef, Platform};

/// A sink that unpacks nothing but verifies diff ids as a real one must.
#[derive(Default)]
pub struct Checking {
    pub ready: Arc<Mutex<BTreeSet<Digest>>>,
}

struct Checked(Arc<Mutex<BTreeSet<Digest>>>, Digest);

impl StagedLayer for Checked {
    fn commit(self: Box<Self>) -> Result<(), Error> {
        self.0.lock().unwrap().insert(self.1.clone());
        Ok(())
    }
}

impl LayerSink for Checking {
    fn has(&self, diff_id: &Digest) -> bool {
        self.ready.lock().unwrap().contains(diff_id)
    }

    fn stage(&self, diff_id: &Digest, blob: &mut dyn Read) -> Result<Box<dyn StagedLayer>, Error> {
        let bad = |cause: std::io::Error| Error::new(ErrorClass::Invalid, format!("layer {diff_id}: {cause}"));
        let (_, plain) = compress::decoder(blob, Limits::default()).map_err(bad)?;
        let mut hashing = HashingReader::new(plain, Algorithm::Sha256);
        std::io::copy(&mut hashing, &mut std::io::sink()).map_err(bad)?;
        let (found, _) = hashing.finish();
        if found != *diff_id {
            return Err(Error::new(ErrorClass::Invalid, format!("layer {diff_id} has the content {found}")));
        }
        Ok(Box::new(Checked(self.ready.clone(), found)))
    }

    fn size(&self, _: &Digest) -> u64 {
        1
    }

    fn remove(&self, diff_id: &Digest) -> Result<(), Error> {
        self.ready.lock().unwrap().remove(diff_id);
        Ok(())
    }
}

/// A store of its own with its sink.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub store: Store,
    pub sink: Checking,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        Self { dir, store, sink: Checking::default() }
    }

    pub fn pull(&self, name: &str) -> Result<Image, Error> {
        self.pull_as(name, None)
    }

    pub fn pull_as(&self, name: &str, credentials: Option<(&str, &str)>) -> Result<Image, Error> {
        let credentials = credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let options = PullOptions { platform: Platform::host(), credentials };
        self.store.pull(&reference(name), &options, &self.sink, &Silent)
    }

    /// An image with a layer of these many pseudo-random bytes for each seed.
    pub fn make(&self, name: &str, layers: &[(u64, usize)]) -> Image {
        let mut image: Option<Image> = None;
        for (seed, size) in layers {
            let tar = tar_of(&format!("file-{seed}"), &noise(*seed, *size));
            let name = reference(name);
            let config = config();
            let made = self.store.add_layer(image.as_ref(), &mut &tar[..], config, Some(&name), &self.sink).unwrap();
            image = Some(made);
        }
        image.unwrap()
    }

    /// Files in a directory of the store, for counting leftovers.
    pub fn files(&self, below: &str) -> Vec<String> {
        names(&self.dir.path().join("images").join(below))
    }
}

pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

pub fn reference(name: &str) -> ImageRef {
    name.parse().unwrap()
}

pub fn config() -> ImageConfig {
    let platform = Platform::host();
    ImageConfig {
        created: Some("2026-01-02T03:04:05Z".into()),
        architecture: platform.architecture,
        os: platform.os,
        ..ImageConfig::default()
    }
}

/// Bytes that do not compress (xorshift64*).
pub fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

pub fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    let entry = Entry {
        path: name.as_bytes().to_vec(),
        kind: Kind::File { size: content.len() as u64 },
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: 0,
        mtime_nsec: 0,
        xattrs: Vec::new(),
    };
    writer.append(&entry, &mut &content[..]).unwrap();
    writer.finish().unwrap()
}

/// Remembers every status line.
#[derive(Default)]
pub struct Recorder(pub Mutex<Vec<(String, String)>>);

impl Progress for Recorder {
    fn update(&self, id: &str, status: &str, _: u64, _: u64) {
        self.0.lock().unwrap().push((id.to_owned(), status.to_owned()));
    }
}

impl Recorder {
    pub fn count(&self, status: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|(_, said)| said == status).count()
    }
}

/// Runs this test again in a process of its own (for its environment, or to be killed).
pub fn again(test: &str) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    command
}

/// Skips a test with a printed reason, or fails it if it must run.
pub fn skip(kind: &str, reason: &str) {
    let must = std::env::var("BULKHEAD_MUST_RUN").unwrap_or_default();
    assert!(!must.split(',').any(|word| word == kind), "must run ({kind}), but: {reason}");
    eprintln!("skipped ({kind}): {reason}");
}
