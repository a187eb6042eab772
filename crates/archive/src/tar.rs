//! A strict tar reader and a deterministic tar writer (POSIX.1-2001 pax, GNU long names and sparse files).

use std::io::{self, Read, Write};

use crate::Limits;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of this many bytes (after sparse expansion).
    File {
        /// Bytes.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link to this text, which is not checked: it is never followed outside.
    Symlink {
        /// As stored.
        target: Vec<u8>,
    },
    /// A second name of an earlier entry, as cleaned path.
    Hardlink {
        /// Cleaned path below the root.
        target: Vec<u8>,
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// One entry. `path` is clean: relative, no empty, `.` or `..` component, no NUL; empty for the root itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Clean path below the root.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission, setuid, setgid and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since the epoch.
    pub mtime: i64,
    /// Nanoseconds.
    pub mtime_nsec: u32,
    /// Extended attributes (`SCHILY.xattr.*`), in order of name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Why an archive is refused. The text names the entry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Malformed, hostile or ambiguous.
    #[error("refused archive entry {entry:?}: {reason}")]
    Refused {
        /// Name as stored, lossy.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading failed.
    #[error("reading the archive failed: {0}")]
    Io(#[from] io::Error),
}

/// Reads entries one after another.
pub struct Reader<R> {
    _source: R,
}

impl<R: Read> Reader<R> {
    /// Over an uncompressed stream.
    pub fn new(source: R, limits: Limits) -> Self {
        let _ = limits;
        Self { _source: source }
    }

    /// The next entry, or `None` at the end (two zero blocks, after which only zeros may follow). Content of the
    /// previous entry that was not read is skipped.
    ///
    /// # Errors
    /// [`Error::Refused`] for: `..`, absolute names (a leading `/` or `./` is cleaned as Docker does only if `/` alone
    /// leads; see the module's table), NUL, sizes on entries that have no content, duplicate or contradicting pax
    /// keys, sizes in global headers, unknown types, checksums, truncation, and every bound of [`Limits`].
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        todo!("archive")
    }

    /// Content of the current entry, holes read as zeros.
    pub fn content(&mut self) -> &mut dyn Read {
        todo!("archive")
    }

    /// Reads to the true end of the stream and returns the source.
    ///
    /// # Errors
    /// If something other than zeros follows the end.
    pub fn finish(self) -> Result<R, Error> {
        todo!("archive")
    }
}

/// Writes entries; the same entries give the same bytes.
pub struct Writer<W> {
    _sink: W,
}

impl<W: Write> Writer<W> {
    /// Into a sink.
    pub fn new(sink: W) -> Self {
        Self { _sink: sink }
    }

    /// One entry with its content (exactly `size` bytes for a file, nothing otherwise).
    ///
    /// # Errors
    /// The sink's or the content's; a content of another length is an error.
    pub fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let _ = (entry, content);
        todo!("archive")
    }

    /// Writes the end mark.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish(self) -> io::Result<W> {
        todo!("archive")
    }
}
