//! The image file as it grows.

use std::io;
use std::os::fd::AsFd;

use super::format::{self, BLOCK};

/// Bytes that are written at once.
const BUFFER: usize = 1 << 20;
/// Shorter holes are written as zeros: a hole costs the host's file system a record.
const MIN_HOLE: u64 = 64 << 10;

/// A buffered writer that knows its position. Begins after the super block's block.
pub(super) struct Blocks<F> {
    file: F,
    buffer: Vec<u8>,
    used: usize,
    flushed: u64,
}

impl<F: AsFd> Blocks<F> {
    pub fn new(file: F) -> Self {
        Self { file, buffer: vec![0; BUFFER], used: 0, flushed: BLOCK as u64 }
    }

    fn position(&self) -> u64 {
        self.flushed + self.used as u64
    }

    /// The block that comes next; the position is aligned.
    pub fn block(&mut self) -> io::Result<u32> {
        self.align()?;
        u32::try_from(self.position() / BLOCK as u64).map_err(|_| io::Error::other("the layer is larger than 16 TiB"))
    }

    /// Room for data to be read into, never empty.
    pub fn space(&mut self) -> io::Result<&mut [u8]> {
        if self.used == BUFFER {
            self.flush()?;
        }
        Ok(&mut self.buffer[self.used..])
    }

    /// So many bytes of [`Blocks::space`] were filled.
    pub fn filled(&mut self, count: usize) {
        self.used += count;
    }

    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let space = self.space()?;
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            self.filled(count);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    pub fn hole(&mut self, bytes: u64) -> io::Result<()> {
        if bytes < MIN_HOLE {
            return self.zeros_to(self.position() + bytes);
        }
        self.flush()?;
        self.flushed = self.flushed.checked_add(bytes).ok_or_else(|| io::Error::other("the layer is too large"))?;
        Ok(())
    }

    pub fn zeros_to(&mut self, position: u64) -> io::Result<()> {
        let mut rest = usize::try_from(position.saturating_sub(self.position())).map_err(io::Error::other)?;
        while rest > 0 {
            let space = self.space()?;
            let count = space.len().min(rest);
            space[..count].fill(0);
            self.filled(count);
            rest -= count;
        }
        Ok(())
    }

    pub fn align(&mut self) -> io::Result<()> {
        self.zeros_to(self.position().next_multiple_of(BLOCK as u64))
    }

    fn flush(&mut self) -> io::Result<()> {
        write_at(&self.file, &self.buffer[..self.used], self.flushed)?;
        self.flushed += self.used as u64;
        self.used = 0;
        Ok(())
    }

    /// Writes out the rest and, last of all, the super block, without which nothing can be mounted.
    pub fn seal(mut self, mut image: format::Image) -> io::Result<()> {
        image.blocks = self.block()?;
        self.flush()?;
        rustix::fs::ftruncate(&self.file, self.flushed)?;
        write_at(&self.file, &image.super_block(), 0)
    }
}

fn write_at(file: &impl AsFd, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                at += count as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
