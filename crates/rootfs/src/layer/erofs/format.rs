//! The bytes of super block, inodes and attributes, little endian.

use crate::layer::index::{Body, Metadata, Node};

/// Bytes of a block.
pub(super) const BLOCK: usize = 4096;
/// Bytes of the unit that inodes are aligned to and numbered by.
pub(super) const SLOT: u64 = 32;
/// Bytes of an extended inode.
const INODE: usize = 64;
/// Longest part that is kept behind an inode: it fits into the inode's block wherever that begins.
const MAX_INLINE: usize = BLOCK - INODE;

const MAGIC: u32 = 0xe0f5_e1e2;
const SUPER_OFFSET: usize = 1024;
const FEATURE_SUPER_CHECKSUM: u32 = 1;
const FEATURE_MTIME: u32 = 2;

/// `i_format` of an extended inode: flat, and flat with its last part inline.
const FORMAT_PLAIN: u16 = 1;
const FORMAT_INLINE: u16 = 1 | 2 << 1;

/// What the super block says.
pub(super) struct Image {
    pub root: u16,
    pub inodes: u64,
    pub metadata: u32,
    pub blocks: u32,
    pub id: [u8; 16],
}

impl Image {
    /// Block 0.
    pub fn super_block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| {
            block[SUPER_OFFSET + at..SUPER_OFFSET + at + bytes.len()].copy_from_slice(bytes);
        };
        put(0x00, &MAGIC.to_le_bytes());
        put(0x08, &(FEATURE_SUPER_CHECKSUM | FEATURE_MTIME).to_le_bytes());
        put(0x0c, &[BLOCK.trailing_zeros() as u8, 0]);
        put(0x0e, &self.root.to_le_bytes());
        put(0x10, &self.inodes.to_le_bytes());
        put(0x24, &self.blocks.to_le_bytes());
        put(0x28, &self.metadata.to_le_bytes());
        put(0x30, &self.id);
        let checksum = crc32c(&block[SUPER_OFFSET..]);
        block[SUPER_OFFSET + 4..SUPER_OFFSET + 8].copy_from_slice(&checksum.to_le_bytes());
        block
    }
}

/// CRC-32C as the kernel keeps it here: begun with ones, not inverted at the end.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |mut crc, &byte| {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
        crc
    })
}

/// What an inode says beyond its node.
pub(super) struct Inode {
    pub block: u32,
    pub size: u64,
    pub ino: u32,
    pub inline: bool,
    /// Bytes of the encoded attributes.
    pub attributes: usize,
}

impl Inode {
    pub fn encode(&self, node: &Node) -> [u8; INODE] {
        let Metadata { uid, gid, mtime, mtime_nsec, .. } = node.metadata;
        // The kernel never asks for the mode of a link; every other file system says this.
        let mode = if matches!(node.body, Body::Symlink(_)) { 0o777 } else { node.metadata.mode };
        let (kind, links) = match node.body {
            Body::File { .. } => (0o100_000, node.links),
            Body::Directory(_) => (0o040_000, node.links + 2),
            Body::Symlink(_) => (0o120_000, node.links),
            Body::Fifo => (0o010_000, node.links),
            Body::Whiteout => (0o020_000, node.links),
        };
        let format = if self.inline { FORMAT_INLINE } else { FORMAT_PLAIN };
        // The header counts as one unit, what follows it in units of four bytes.
        let attributes = if self.attributes == 0 { 0 } else { (self.attributes - ATTRIBUTES) / 4 + 1 };
        let mut out = [0; INODE];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0x00, &format.to_le_bytes());
        put(0x02, &(attributes as u16).to_le_bytes());
        put(0x04, &((kind | mode & 0o7777) as u16).to_le_bytes());
        put(0x08, &self.size.to_le_bytes());
        put(0x10, &self.block.to_le_bytes());
        put(0x14, &self.ino.to_le_bytes());
        put(0x18, &uid.to_le_bytes());
        put(0x1c, &gid.to_le_bytes());
        put(0x20, &mtime.to_le_bytes());
        put(0x28, &mtime_nsec.to_le_bytes());
        put(0x2c, &links.to_le_bytes());
        out
    }
}

/// The type byte of a directory entry.
pub(super) fn file_type(node: &Node) -> u8 {
    match node.body {
        Body::File { .. } => 1,
        Body::Directory(_) => 2,
        Body::Whiteout => 3,
        Body::Fifo => 5,
        Body::Symlink(_) => 7,
    }
}

/// Bytes of the attributes' header.
const ATTRIBUTES: usize = 12;
/// Prefixes that are stored as a number.
const PREFIXES: [(&[u8], u8); 3] = [(b"user.", 1), (b"trusted.", 4), (b"security.", 6)];
const OPAQUE: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");

fn all_attributes(node: &Node) -> impl Iterator<Item = (&[u8], &[u8])> {
    let opaque = matches!(&node.body, Body::Directory(directory) if directory.opaque);
    let own = node.metadata.attributes.iter().map(|(name, value)| (&name[..], &value[..]));
    own.chain(opaque.then_some(OPAQUE))
}

/// Prefix number and the rest of a name; names with other prefixes never come here.
fn split(name: &[u8]) -> (u8, &[u8]) {
    let known = PREFIXES.iter().find_map(|(prefix, number)| Some((*number, name.strip_prefix(*prefix)?)));
    known.unwrap_or((0, name))
}

/// Bytes of inode and attributes.
pub(super) fn header_size(node: &Node) -> usize {
    let entries: usize =
        all_attributes(node).map(|(name, value)| (4 + split(name).1.len() + value.len()).next_multiple_of(4)).sum();
    INODE + if entries == 0 { 0 } else { ATTRIBUTES + entries }
}

/// The attributes, all inline.
pub(super) fn attributes(node: &Node) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in all_attributes(node) {
        if out.is_empty() {
            out.resize(ATTRIBUTES, 0);
        }
        let (prefix, rest) = split(name);
        out.extend_from_slice(&[rest.len() as u8, prefix]);
        out.extend_from_slice(&(value.len() as u16).to_le_bytes());
        out.extend_from_slice(rest);
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

/// Bytes of the last, partial block if it may stand behind its inode, else 0.
pub(super) fn inline_part(size: u64) -> usize {
    let part = (size % BLOCK as u64) as usize;
    if part <= MAX_INLINE - SLOT as usize { part } else { 0 }
}

/// Where an inode may begin at or after `end` so that its inline part lies in one block.
pub(super) fn place(end: u64, header: u64, inline: u64) -> u64 {
    let block = BLOCK as u64;
    let at = end.next_multiple_of(SLOT);
    if inline == 0 || (at + header) % block + inline <= block {
        return at;
    }
    ((at + header).next_multiple_of(block) - header).next_multiple_of(SLOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_a_known_text() {
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn inline_parts_never_cross_a_block() {
        for end in (0..9000).step_by(4) {
            for header in [64, 76 + 4, 76 + 400, 76 + 8000] {
                for inline in [1, 100, 2000, 4000] {
                    let at = place(end, header, inline);
                    assert!(at >= end && at.is_multiple_of(SLOT), "{end} {header} {inline}");
                    assert!((at + header) / 4096 == (at + header + inline - 1) / 4096, "{end} {header} {inline}");
                }
            }
        }
        assert_eq!((inline_part(0), inline_part(4000), inline_part(4090), inline_part(8192)), (0, 4000, 0, 0));
    }
}
