//! Digests of streams while they pass.

use std::io::{self, Read, Write};

use bulkhead_types::{Algorithm, Digest};
use sha2::{Digest as _, Sha256, Sha512};

/// A running digest.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// A fresh one.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Takes in bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest.
    #[must_use]
    pub fn finish(self) -> Digest {
        let digest = match self.0 {
            State::Sha256(state) => Digest::from_bytes(Algorithm::Sha256, &state.finalize()),
            State::Sha512(state) => Digest::from_bytes(Algorithm::Sha512, &state.finalize()),
        };
        digest.unwrap_or_else(|| unreachable!("a hash function's output has its own length"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(
            Hasher::sha256(b"abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(Hasher::new(Algorithm::Sha512).finish().hex().starts_with("cf83e1357eefb8bd"));
    }

    #[test]
    fn readers_and_writers_count_what_passes() {
        let mut reader = HashingReader::new(&b"abc"[..], Algorithm::Sha256);
        let mut writer = HashingWriter::new(Vec::new(), Algorithm::Sha256);
        assert_eq!(io::copy(&mut reader, &mut writer).unwrap(), 3);
        let (sink, written, bytes) = writer.finish();
        assert_eq!((sink, bytes), (b"abc".to_vec(), 3));
        assert_eq!(reader.finish(), (written, 3));
    }
}
