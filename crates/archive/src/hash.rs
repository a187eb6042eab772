//! Digests of streams while they pass.

use std::io::{self, Read, Write};

use bulkhead_types::{Algorithm, Digest};

/// A running digest.
#[derive(Clone, Debug)]
pub struct Hasher {
    _private: (),
}

impl Hasher {
    /// A fresh one.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        let _ = algorithm;
        todo!("archive")
    }

    /// Takes in bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let _ = bytes;
        todo!("archive")
    }

    /// The digest.
    #[must_use]
    pub fn finish(self) -> Digest {
        todo!("archive")
    }

    /// SHA-256 of a slice.
    #[must_use]
    pub fn sha256(bytes: &[u8]) -> Digest {
        let mut hasher = Self::new(Algorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Hashes and counts what is read through it.
#[derive(Debug)]
pub struct HashingReader<R> {
    source: R,
    hasher: Hasher,
    bytes: u64,
}

impl<R: Read> HashingReader<R> {
    /// Around a source.
    pub fn new(source: R, algorithm: Algorithm) -> Self {
        Self { source, hasher: Hasher::new(algorithm), bytes: 0 }
    }

    /// Digest and number of bytes so far.
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.bytes)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Hashes and counts what is written through it.
#[derive(Debug)]
pub struct HashingWriter<W> {
    sink: W,
    hasher: Hasher,
    bytes: u64,
}

impl<W: Write> HashingWriter<W> {
    /// Around a sink.
    pub fn new(sink: W, algorithm: Algorithm) -> Self {
        Self { sink, hasher: Hasher::new(algorithm), bytes: 0 }
    }

    /// Sink, digest and number of bytes so far.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.sink, self.hasher.finish(), self.bytes)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.sink.write(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
