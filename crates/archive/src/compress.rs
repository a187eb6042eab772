//! gzip, zstd and plain streams, told apart by their first bytes.

use std::io::{self, Read};

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

/// A bounded decoder; which one is decided by the first bytes. A truncated stream is an error.
///
/// # Errors
/// If the first bytes cannot be read.
pub fn decoder<'a>(source: impl Read + 'a, limits: Limits) -> io::Result<(Compression, Box<dyn Read + 'a>)> {
    let _ = (source, limits);
    todo!("archive")
}

/// A gzip encoder of level 6, or zstd level 3.
///
/// # Errors
/// If the encoder cannot be set up.
pub fn encoder<'a>(sink: impl io::Write + 'a, how: Compression) -> io::Result<Box<dyn Finish + 'a>> {
    let _ = (sink, how);
    todo!("archive")
}

/// A writer whose end must be written out.
pub trait Finish: io::Write {
    /// Writes what is left and the trailer.
    ///
    /// # Errors
    /// The sink's.
    fn finish(self: Box<Self>) -> io::Result<()>;
}
