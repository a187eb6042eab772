//! A layer as one EROFS image (`Documentation/filesystems/erofs.rst`): 4 KiB blocks, nothing compressed.
//!
//! Block 0 holds the super block, then come the files' contents in the order of the archive, written while it
//! streams; then full blocks of directories; then every inode, each followed by its attributes and, where it fits
//! into the block, by its link text or the last part of its directory. Same archive, same image.

mod blocks;
mod dirents;
mod format;

use std::io::Read;
use std::os::fd::AsFd;

use bulkhead_archive::tar;
use bulkhead_types::Digest;

use super::index::{Body, Index, Placed, ROOT};
use super::{Failure, Sink};
use blocks::Blocks;
use dirents::Packed;
use format::{BLOCK, SLOT};

/// First slot in use: number 0 would make `readdir(3)` of old C libraries skip the root's own entry.
const FIRST_SLOT: u64 = 2;

/// Writes one image.
pub(super) struct Writer<F> {
    blocks: Blocks<F>,
}

/// Where an inode is and what lies outside of it.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// Offset from the start of the metadata in slots; 0 is unassigned.
    number: u32,
    /// First block of the contents that are not inline.
    block: u32,
    /// Bytes of a directory or link text.
    size: u64,
    /// Bytes of it that are inline.
    inline: usize,
}

impl<F: AsFd> Writer<F> {
    pub fn new(file: F) -> Self {
        Self { blocks: Blocks::new(file) }
    }

    /// Writes a file's content; returns its first block.
    fn content<R: Read>(&mut self, content: &mut tar::Body<R>) -> Result<u32, Failure> {
        let start = self.blocks.block().map_err(Failure::Disk)?;
        loop {
            match content.piece(self.blocks.space().map_err(Failure::Disk)?).map_err(tar::Error::Io)? {
                tar::Piece::Data(count) => self.blocks.filled(count),
                tar::Piece::Hole(bytes) => self.blocks.hole(bytes).map_err(Failure::Disk)?,
                tar::Piece::End => break,
            }
        }
        self.blocks.align().map_err(Failure::Disk)?;
        Ok(start)
    }

    /// Writes everything but contents.
    fn tree(mut self, index: &Index, diff_id: &Digest) -> std::io::Result<()> {
        let mut slots = vec![Slot::default(); index.len()];
        let order = assign(index, &mut slots);
        for &id in &order {
            self.outside(index, id, &mut slots)?;
        }
        let metadata = self.blocks.block()?;
        for (number, &id) in order.iter().enumerate() {
            self.inode(index, id, &slots, (metadata, number))?;
        }
        self.blocks.seal(format::Image {
            root: u16::try_from(slots[ROOT as usize].number).map_err(std::io::Error::other)?,
            inodes: order.len() as u64,
            metadata,
            blocks: 0,
            id: identity(diff_id),
        })
    }

    /// Whole blocks of directories and long links.
    fn outside(&mut self, index: &Index, id: u32, slots: &mut [Slot]) -> std::io::Result<()> {
        let slot = slots[id as usize];
        if slot.size == slot.inline as u64 {
            return Ok(());
        }
        let block = self.blocks.block()?;
        match &index.node(id).body {
            Body::Directory(directory) => {
                let packed = Packed::new(id, directory);
                let whole = packed.blocks() - usize::from(slot.inline > 0);
                for number in 0..whole {
                    self.blocks.write(&packed.block(number, index, |id| slots[id as usize].number.into()))?;
                    self.blocks.align()?;
                }
            }
            Body::Symlink(target) => {
                self.blocks.write(target)?;
                self.blocks.align()?;
            }
            Body::File { .. } | Body::Fifo | Body::Whiteout => {}
        }
        slots[id as usize].block = block;
        Ok(())
    }

    fn inode(&mut self, index: &Index, id: u32, slots: &[Slot], place: (u32, usize)) -> std::io::Result<()> {
        let (metadata, number) = place;
        let (node, slot) = (index.node(id), slots[id as usize]);
        self.blocks.zeros_to(u64::from(metadata) * BLOCK as u64 + u64::from(slot.number) * SLOT)?;
        let attributes = format::attributes(node);
        let (block, size) = match node.body {
            Body::File { block, size } => (block, size),
            _ => (slot.block, slot.size),
        };
        let ino = u32::try_from(number + 1).unwrap_or(u32::MAX);
        let inode = format::Inode { block, size, ino, inline: slot.inline > 0, attributes: attributes.len() };
        self.blocks.write(&inode.encode(node))?;
        self.blocks.write(&attributes)?;
        match &node.body {
            Body::Symlink(target) if slot.inline > 0 => self.blocks.write(target),
            Body::Directory(directory) if slot.inline > 0 => {
                let packed = Packed::new(id, directory);
                self.blocks.write(&packed.block(packed.blocks() - 1, index, |id| slots[id as usize].number.into()))
            }
            _ => Ok(()),
        }
    }
}

impl<F: AsFd> Sink for Writer<F> {
    fn take<R: Read>(
        &mut self,
        index: &mut Index,
        _entry: &tar::Entry,
        placed: Placed,
        content: &mut tar::Body<R>,
    ) -> Result<(), Failure> {
        if let Placed::File(id) = placed {
            index.set_block(id, self.content(content)?);
        }
        Ok(())
    }

    fn finish(self, index: &Index, diff_id: &Digest) -> Result<(), Failure> {
        self.tree(index, diff_id).map_err(Failure::Disk)
    }
}

/// Gives every inode its place: the objects of a directory stand together. Returns them in that order.
fn assign(index: &Index, slots: &mut [Slot]) -> Vec<u32> {
    let mut order = Vec::with_capacity(slots.len());
    let mut end = FIRST_SLOT * SLOT;
    let mut place = |id: u32, order: &mut Vec<u32>| {
        let slot = &mut slots[id as usize];
        if slot.number != 0 {
            return;
        }
        let node = index.node(id);
        slot.size = match &node.body {
            Body::Directory(directory) => Packed::new(id, directory).size(),
            Body::Symlink(target) => target.len() as u64,
            Body::File { .. } | Body::Fifo | Body::Whiteout => 0,
        };
        slot.inline = format::inline_part(slot.size);
        if matches!(node.body, Body::Symlink(_)) && slot.inline as u64 != slot.size {
            slot.inline = 0;
        }
        let header = format::header_size(node) as u64;
        let at = format::place(end, header, slot.inline as u64);
        slot.number = u32::try_from(at / SLOT).unwrap_or(u32::MAX);
        end = at + header + slot.inline as u64;
        order.push(id);
    };
    place(ROOT, &mut order);
    let mut waiting = vec![ROOT];
    while let Some(here) = waiting.pop() {
        let Body::Directory(directory) = &index.node(here).body else { continue };
        for &child in directory.children.values() {
            place(child, &mut order);
            if matches!(index.node(child).body, Body::Directory(_)) {
                waiting.push(child);
            }
        }
    }
    order
}

/// The image's UUID: the beginning of the diff id.
fn identity(diff_id: &Digest) -> [u8; 16] {
    let mut id = [0; 16];
    for (byte, digits) in id.iter_mut().zip(diff_id.hex().as_bytes().chunks_exact(2)) {
        *byte = std::str::from_utf8(digits).ok().and_then(|text| u8::from_str_radix(text, 16).ok()).unwrap_or(0);
    }
    id
}
