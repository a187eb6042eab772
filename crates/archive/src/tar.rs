//! A strict tar reader and a deterministic tar writer (POSIX.1-2001 pax, GNU long names and sparse files).
//!
//! | shape | what we do |
//! |---|---|
//! | ustar, GNU and v7 headers, base-256 numbers, pax keys, GNU `L`/`K`, sparse `S`, 0.0, 0.1 and 1.0 | read |
//! | leading `./`, `.` components, double and trailing slashes | cleaned |
//! | `/`, `.` and `./` as the whole name of a directory | the root itself |
//! | any other absolute name or hard link target, `..`, NUL | refused |
//! | content on anything but a file (Go reads on inside it, others skip it) | refused |
//! | a pax key twice, two pax headers for one entry, pax with `L`/`K` | refused |
//! | global pax headers with any key but a comment (Go ignores them, GNU tar applies them) | refused |
//! | one zero block and then an entry; anything but zeros after the end | refused |
//! | GNU headers with access times (some readers take them for a name prefix) | refused |
//! | a file `0` whose name ends in `/` (a directory for some) | refused |
//! | types other than `0`, NUL, `1` to `6`, `S`, `L`, `K`, `x`, `g` | refused |
//! | wrong checksums, numbers with anything but octal digits | refused |

mod header;
mod pax;
mod reader;
mod sparse;
mod writer;

use std::io;

pub use reader::{Body, Piece, Reader};
pub use writer::Writer;

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
