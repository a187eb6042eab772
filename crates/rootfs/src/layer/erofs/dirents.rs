//! Directory blocks: an array of fixed entries, then the names; everything in ascending order of name, `.` and `..`
//! included, across all blocks.

use std::ops::Range;

use super::format::{BLOCK, file_type};
use crate::layer::index::{Directory, Index};

/// Bytes of a fixed entry.
const DIRENT: usize = 12;

/// A directory's entries, dealt out to blocks.
pub(super) struct Packed<'a> {
    entries: Vec<(&'a [u8], u32)>,
    blocks: Vec<Range<usize>>,
}

impl<'a> Packed<'a> {
    pub fn new(id: u32, directory: &'a Directory) -> Self {
        let mut entries: Vec<(&[u8], u32)> = directory.children.iter().map(|(name, &id)| (&name[..], id)).collect();
        for (name, id) in [(&b"."[..], id), (b"..", directory.parent)] {
            let at = entries.partition_point(|(other, _)| *other < name);
            entries.insert(at, (name, id));
        }
        let mut blocks = Vec::new();
        let (mut start, mut used) = (0, 0);
        for (number, (name, _)) in entries.iter().enumerate() {
            let cost = DIRENT + name.len();
            if used + cost > BLOCK {
                blocks.push(start..number);
                (start, used) = (number, 0);
            }
            used += cost;
        }
        blocks.push(start..entries.len());
        Self { entries, blocks }
    }

    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Bytes of the directory: whole blocks and what the last one uses.
    pub fn size(&self) -> u64 {
        let last = self.blocks.last().cloned().unwrap_or_default();
        let used: usize = self.entries[last].iter().map(|(name, _)| DIRENT + name.len()).sum();
        ((self.blocks.len() - 1) * BLOCK + used) as u64
    }

    /// One block, not padded.
    pub fn block(&self, number: usize, index: &Index, slot: impl Fn(u32) -> u64) -> Vec<u8> {
        let entries = &self.entries[self.blocks[number].clone()];
        let mut out = Vec::with_capacity(BLOCK);
        let mut offset = entries.len() * DIRENT;
        for (name, id) in entries {
            out.extend_from_slice(&slot(*id).to_le_bytes());
            // At most BLOCK, so it fits.
            out.extend_from_slice(&(offset as u16).to_le_bytes());
            out.extend_from_slice(&[file_type(index.node(*id)), 0]);
            offset += name.len();
        }
        for (name, _) in entries {
            out.extend_from_slice(name);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ascend_with_the_dots_among_them() {
        let mut directory = Directory::default();
        for name in ["a", "!", ".a", "...", "-"] {
            directory.children.insert(name.as_bytes().into(), 7);
        }
        let packed = Packed::new(0, &directory);
        let names: Vec<_> = packed.entries.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        assert_eq!(names, ["!", "-", ".", "..", "...", ".a", "a"]);
        assert_eq!((packed.blocks(), packed.size()), (1, 7 * 12 + 11));
    }

    #[test]
    fn large_directories_take_several_blocks() {
        let mut directory = Directory::default();
        for number in 0..1000 {
            directory.children.insert(format!("{number:0200}").into_bytes().into(), 7);
        }
        let packed = Packed::new(0, &directory);
        assert_eq!(packed.blocks(), 1002usize.div_ceil(BLOCK / 212));
        assert!(packed.size() > 900 * 212);
    }
}
