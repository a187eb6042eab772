//! gzip, zstd and plain streams, told apart by their first bytes.
//!
//! A stream that ends early is an error, and so is anything but a further member after the end of a gzip or zstd
//! member (Go's and therefore Docker's readers refuse it too; the `gzip` program only warns).

use std::cell::Cell;
use std::io::{self, BufReader, Read, Write};
use std::rc::Rc;

use crate::Limits;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952; several members in a row are one stream.
    Gzip,
    /// RFC 8878.
    Zstd,
}

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Skippable frames `50 2a 4d 18` to `5f 2a 4d 18` may stand before the first one.
const ZSTD_SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];
/// Window of at most 128 MiB: what `zstd` itself accepts without `--long`.
const ZSTD_WINDOW_LOG: u32 = 27;
const INPUT_BUFFER: usize = 128 << 10;

impl Compression {
    /// Decides by the first (up to four) bytes of a stream.
    #[must_use]
    pub fn of(first: &[u8]) -> Self {
        if first.starts_with(GZIP_MAGIC) {
            Self::Gzip
        } else if first.starts_with(ZSTD_MAGIC)
            || (first.len() > 3 && first[0] >> 4 == 5 && &first[1..4] == ZSTD_SKIPPABLE)
        {
            Self::Zstd
        } else {
            Self::None
        }
    }
}

/// A bounded decoder; which one is decided by the first bytes. A truncated stream is an error.
///
/// # Errors
/// If the first bytes cannot be read.
pub fn decoder<'a>(mut source: impl Read + 'a, limits: Limits) -> io::Result<(Compression, Box<dyn Read + 'a>)> {
    let mut first = Vec::with_capacity(4);
    source.by_ref().take(4).read_to_end(&mut first)?;
    let how = Compression::of(&first);
    let taken = Rc::new(Cell::new(0));
    let source = Counted { source: io::Cursor::new(first).chain(source), taken: Rc::clone(&taken) };
    let inner: Box<dyn Read + 'a> = match how {
        Compression::None => Box::new(source),
        Compression::Gzip => {
            Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(INPUT_BUFFER, source)))
        }
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(INPUT_BUFFER, source))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    };
    Ok((how, Box::new(Bounded { inner, taken, given: 0, limits })))
}

/// Counts the compressed bytes.
struct Counted<R> {
    source: R,
    taken: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.taken.set(self.taken.get() + count as u64);
        Ok(count)
    }
}

/// Refuses expansion beyond the limits.
struct Bounded<'a> {
    inner: Box<dyn Read + 'a>,
    taken: Rc<Cell<u64>>,
    given: u64,
    limits: Limits,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.given += count as u64;
        if self.given > self.limits.bytes {
            return Err(refusal(format!("it expands to more than the limit of {} bytes", self.limits.bytes)));
        }
        let allowed = self.taken.get().saturating_mul(self.limits.ratio);
        if self.given > self.limits.ratio_after && self.given > allowed {
            return Err(refusal(format!(
                "it is a decompression bomb: {} bytes came out of {} (more than the limit of {} to 1)",
                self.given,
                self.taken.get(),
                self.limits.ratio
            )));
        }
        Ok(count)
    }
}

fn refusal(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the compressed stream is refused: {reason}"))
}

/// A gzip encoder of level 6, or zstd level 3.
///
/// # Errors
/// If the encoder cannot be set up.
pub fn encoder<'a>(sink: impl io::Write + 'a, how: Compression) -> io::Result<Box<dyn Finish + 'a>> {
    Ok(match how {
        Compression::None => Box::new(Plain(sink)),
        Compression::Gzip => Box::new(flate2::write::GzEncoder::new(sink, flate2::Compression::new(6))),
        Compression::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(sink, 3)?;
            encoder.include_checksum(true)?;
            Box::new(encoder)
        }
    })
}

/// A writer whose end must be written out.
pub trait Finish: io::Write {
    /// Writes what is left and the trailer.
    ///
    /// # Errors
    /// The sink's.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

struct Plain<W>(W);

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> Finish for Plain<W> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> Finish for flate2::write::GzEncoder<W> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        (*self).finish()?.flush()
    }
}

impl<W: Write> Finish for zstd::stream::write::Encoder<'_, W> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        (*self).finish()?.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

    fn packed(data: &[u8], how: Compression) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = encoder(&mut out, how).unwrap();
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap();
        out
    }

    fn unpacked(data: &[u8], limits: Limits) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decoder(data, limits)?.1.read_to_end(&mut out)?;
        Ok(out)
    }

    fn sample() -> Vec<u8> {
        (0..300_000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 20).to_le_bytes()).collect()
    }

    #[test]
    fn round_trips_and_several_members() {
        for how in ALL {
            for data in [Vec::new(), b"x".to_vec(), sample()] {
                let one = packed(&data, how);
                assert_eq!(unpacked(&one, Limits::default()).unwrap(), data);
                let two = [one.clone(), one].concat();
                assert_eq!(unpacked(&two, Limits::default()).unwrap(), [data.clone(), data].concat());
            }
        }
    }

    /// zstd:chunked, as podman pushes it, keeps its index in such frames.
    #[test]
    fn skippable_frames_are_skipped() {
        let frame = [&[0x52, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"toc!"].concat();
        let good = packed(&sample(), Compression::Zstd);
        for stream in [[&frame[..], &good].concat(), [&good[..], &frame].concat(), [&good[..], &frame, &good].concat()]
        {
            assert!(unpacked(&stream, Limits::default()).unwrap().starts_with(&sample()));
        }
    }

    #[test]
    fn refuses_truncation_garbage_and_damage() {
        for how in [Compression::Gzip, Compression::Zstd] {
            let good = packed(&sample(), how);
            for cut in [5, good.len() / 2, good.len() - 9, good.len() - 4, good.len() - 1] {
                assert!(unpacked(&good[..cut], Limits::default()).is_err(), "{how:?} cut at {cut}");
            }
            assert!(unpacked(&[&good[..], b"garbage"].concat(), Limits::default()).is_err());
            assert!(unpacked(&[&good[..], &[0; 8][..]].concat(), Limits::default()).is_err());
            let mut damaged = good.clone();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 0x10;
            assert!(unpacked(&damaged, Limits::default()).is_err());
        }
    }

    #[test]
    fn refuses_bombs_by_size_and_ratio() {
        let zeros = vec![0; 4 << 20];
        for how in [Compression::Gzip, Compression::Zstd] {
            let bomb = packed(&zeros, how);
            let limits = Limits { ratio: 100, ratio_after: 1 << 20, ..Limits::default() };
            assert!(unpacked(&bomb, limits).unwrap_err().to_string().contains("bomb"));
            assert!(unpacked(&bomb, Limits { bytes: 1 << 20, ..Limits::default() }).is_err());
            assert!(unpacked(&bomb, Limits::default()).is_ok());
        }
        assert!(unpacked(&zeros, Limits { bytes: 1 << 20, ..Limits::default() }).is_err());
    }
}
