//! Pulls an image into a fresh store with a sink that only decodes and hashes, or only reads: the client's own cost.
//! `pull_figures NAME [read] [STORE]`
#![allow(clippy::print_stdout)]

use std::io::Read;
use std::time::Instant;

use bulkhead_archive::hash::HashingReader;
use bulkhead_archive::{Limits, compress};
use bulkhead_image::{Error, LayerSink, PullOptions, Silent, StagedLayer, Store};
use bulkhead_types::{Algorithm, Digest, ErrorClass, Platform};

struct Null {
    only_read: bool,
}

struct Done;

impl StagedLayer for Done {
    fn commit(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}

impl LayerSink for Null {
    fn has(&self, _: &Digest) -> bool {
        false
    }
    fn stage(&self, _: &Digest, blob: &mut dyn Read) -> Result<Box<dyn StagedLayer>, Error> {
        let bad = |cause: std::io::Error| Error::new(ErrorClass::Invalid, cause.to_string());
        if self.only_read {
            std::io::copy(blob, &mut std::io::sink()).map_err(bad)?;
            return Ok(Box::new(Done));
        }
        let (_, plain) = compress::decoder(blob, Limits::default()).map_err(bad)?;
        let mut hashing = HashingReader::new(plain, Algorithm::Sha256);
        let mut buffer = vec![0u8; 256 << 10];
        while hashing.read(&mut buffer).map_err(bad)? > 0 {}
        Ok(Box::new(Done))
    }
    fn size(&self, _: &Digest) -> u64 {
        0
    }
    fn remove(&self, _: &Digest) -> Result<(), Error> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let name = arguments.get(1).ok_or("name an image")?;
    let sink = Null { only_read: arguments.iter().any(|word| word == "read") };
    let dir = std::path::PathBuf::from(arguments.last().filter(|last| last.starts_with('/')).ok_or("name a store")?);
    let store = Store::open(&dir)?;
    let begin = Instant::now();
    let options = PullOptions { platform: Platform::host(), credentials: None };
    let image = store.pull(&name.parse()?, &options, &sink, &Silent)?;
    println!("{} in {} ms", image.id.short(), begin.elapsed().as_millis());
    let begin = Instant::now();
    for _ in 0..1000 {
        Store::open(&dir)?.find(name)?;
    }
    println!("open and find: {} us", begin.elapsed().as_micros() / 1000);
    Ok(())
}
