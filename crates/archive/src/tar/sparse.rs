//! Maps of sparse files: which parts of a file the archive holds.

use super::header::{Header, number};
use super::pax::{SparseKeys, decimal};

/// More segments than that are no file anybody has.
pub(super) const MAX_SEGMENTS: usize = 1 << 20;

/// A part of a file that holds data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub offset: u64,
    pub length: u64,
}

type Reason = String;

/// Checks that segments ascend, do not overlap, end within the file, and hold exactly the stored bytes.
pub(super) fn check(map: &[Segment], size: u64, stored: u64) -> Result<(), Reason> {
    let (mut end, mut total) = (0u64, 0u64);
    for segment in map {
        if segment.offset < end {
            return Err("the sparse map's segments overlap or are out of order".into());
        }
        end = segment
            .offset
            .checked_add(segment.length)
            .filter(|&end| end <= size)
            .ok_or("the sparse map leaves the file")?;
        total += segment.length;
    }
    if total != stored {
        return Err("the sparse map does not fit the stored size".into());
    }
    Ok(())
}

fn pairs(numbers: &[u64]) -> Result<Vec<Segment>, Reason> {
    if !numbers.len().is_multiple_of(2) || numbers.len() / 2 > MAX_SEGMENTS {
        return Err("the sparse map has an odd or too large number of entries".into());
    }
    Ok(numbers.chunks_exact(2).map(|pair| Segment { offset: pair[0], length: pair[1] }).collect())
}

/// The map of the pax forms 0.0 and 0.1; `None` for 1.0, whose map stands in the content.
pub(super) fn from_keys(keys: &SparseKeys) -> Result<Option<Vec<Segment>>, Reason> {
    match (keys.major, keys.minor) {
        (Some(1), Some(0)) if keys.map.is_none() && keys.offsets.is_empty() => return Ok(None),
        (None | Some(0), None | Some(0..=1)) => {}
        _ => return Err("an unknown form of sparse file".into()),
    }
    let map = match &keys.map {
        Some(map) if keys.offsets.is_empty() => pairs(map)?,
        Some(_) => return Err("two sparse maps".into()),
        None if keys.offsets.len() == keys.lengths.len() => {
            keys.offsets.iter().zip(&keys.lengths).map(|(&offset, &length)| Segment { offset, length }).collect()
        }
        None => return Err("a sparse map that ends within a segment".into()),
    };
    if keys.blocks.is_some_and(|blocks| blocks != map.len() as u64) {
        return Err("the sparse map has another number of segments than it says".into());
    }
    Ok(Some(map))
}

/// The old GNU form: four segments in the header. Returns them, the file's size, and whether more blocks follow.
pub(super) fn from_header(header: &Header) -> Result<(Vec<Segment>, u64, bool), Reason> {
    let mut map = Vec::new();
    take_entries(&header.0[386..482], &mut map)?;
    Ok((map, number(&header.0[483..495], "real size")?, flag(header.0[482])?))
}

/// A further block of the old form. Returns whether more follow.
pub(super) fn from_block(block: &[u8; 512], map: &mut Vec<Segment>) -> Result<bool, Reason> {
    take_entries(&block[..504], map)?;
    flag(block[504])
}

fn flag(byte: u8) -> Result<bool, Reason> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err("a damaged sparse header".into()),
    }
}

fn take_entries(bytes: &[u8], map: &mut Vec<Segment>) -> Result<(), Reason> {
    for entry in bytes.chunks_exact(24).take_while(|entry| entry[0] != 0) {
        map.push(Segment { offset: number(&entry[..12], "sparse")?, length: number(&entry[12..], "sparse")? });
    }
    if map.len() > MAX_SEGMENTS {
        return Err("too many segments in a sparse file".into());
    }
    Ok(())
}

/// Collects the map of form 1.0 out of the content's first blocks: decimal numbers, one a line.
#[derive(Debug, Default)]
pub(super) struct MapLines {
    numbers: Vec<u64>,
    line: Vec<u8>,
}

impl MapLines {
    /// Takes a block; true when the map is complete (the rest of the block is padding).
    pub fn take(&mut self, block: &[u8]) -> Result<bool, Reason> {
        for &byte in block {
            if byte != b'\n' {
                self.line.push(byte);
                if self.line.len() > 20 {
                    return Err("a damaged sparse map".into());
                }
                continue;
            }
            self.numbers.push(decimal(&self.line)?);
            self.line.clear();
            let segments = self.numbers[0];
            if segments > MAX_SEGMENTS as u64 {
                return Err("too many segments in a sparse file".into());
            }
            if self.numbers.len() as u64 == 1 + 2 * segments {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn finish(self) -> Result<Vec<Segment>, Reason> {
        pairs(self.numbers.get(1..).unwrap_or_default())
    }
}
