//! Tar streams, compression and digests: the one strict reader that every consumer of an archive uses.
//!
//! * **Is:** pull, load, import, build, cp and export all read through [`tar::Reader`], so that no two of them can
//!   disagree on what an archive holds (the smuggling class). Shapes that other readers disagree on are refused.
//! * **Must never know:** file systems. Bytes in, entries out.
//! * **Invariants:** every stream is bounded in bytes, entries and expansion ratio; no input panics.
//! * **Tests:** beside each module, golden archives in `testdata/`, property tests.

pub mod compress;
pub mod hash;
pub mod tar;

/// Bounds on an untrusted archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Expanded bytes in all; holes of sparse files count.
    pub bytes: u64,
    /// Entries in all.
    pub entries: u64,
    /// Expanded bytes per compressed byte, checked once more than `ratio_after` bytes have been expanded.
    pub ratio: u64,
    /// Expanded bytes below which any ratio is fine: a small layer of zeros is no bomb.
    pub ratio_after: u64,
    /// Bytes of one path, at most `PATH_MAX` without its NUL.
    pub path: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 30, entries: 2_000_000, ratio: 200, ratio_after: 1 << 30, path: 4095 }
    }
}
