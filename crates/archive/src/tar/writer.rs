//! The writer: ustar headers, with a pax header only where ustar cannot say it.

use std::io::{self, Read, Write};

use super::header::BLOCK;
use super::{Entry, Kind};

/// Largest number of an eleven digit octal field.
const MAX_OCTAL_11: u64 = 0o77_777_777_777;
/// Largest number of a seven digit octal field.
const MAX_OCTAL_7: u64 = 0o7_777_777;
/// Bytes of the name and link fields.
const NAME: usize = 100;

/// Writes entries; the same entries give the same bytes.
pub struct Writer<W> {
    sink: W,
}

impl<W: Write> Writer<W> {
    /// Into a sink.
    pub fn new(sink: W) -> Self {
        Self { sink }
    }

    /// One entry with its content (exactly `size` bytes for a file, nothing otherwise).
    ///
    /// # Errors
    /// The sink's or the content's; a content of another length, and an entry whose path is not clean.
    pub fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let shape = Shape::of(entry)?;
        let records = pax_records(entry, &shape);
        if !records.is_empty() {
            self.sink.write_all(&pax_header(&shape, records.len()))?;
            self.sink.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.sink.write_all(&entry_header(entry, &shape))?;
        if shape.size > 0 {
            let copied = io::copy(&mut content.take(shape.size), &mut self.sink)?;
            if copied != shape.size {
                return Err(invalid(entry, "its content is shorter than its size"));
            }
        }
        if content.read(&mut [0])? != 0 {
            return Err(invalid(entry, "its content is longer than its size"));
        }
        self.pad(shape.size)
    }

    /// Writes the end mark.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish(mut self) -> io::Result<W> {
        self.sink.write_all(&[0; 2 * BLOCK])?;
        self.sink.flush()?;
        Ok(self.sink)
    }

    fn pad(&mut self, written: u64) -> io::Result<()> {
        let rest = written.next_multiple_of(BLOCK as u64) - written;
        self.sink.write_all(&[0; BLOCK][..usize::try_from(rest).unwrap_or_default()])
    }
}

/// An entry's fields as the archive spells them.
struct Shape {
    name: Vec<u8>,
    link: Vec<u8>,
    flag: u8,
    size: u64,
    device: Option<(u32, u32)>,
}

impl Shape {
    fn of(entry: &Entry) -> io::Result<Self> {
        let bad = |path: &[u8]| {
            path.contains(&0) || path.split(|&byte| byte == b'/').any(|part| matches!(part, b"" | b"." | b".."))
        };
        let mut name = entry.path.clone();
        match (&entry.kind, name.is_empty()) {
            (Kind::Directory, true) => name = b"./".to_vec(),
            (Kind::Directory, false) if !bad(&name) => name.push(b'/'),
            (_, false) if !bad(&name) => {}
            _ => return Err(invalid(entry, "its path is not clean")),
        }
        let (flag, link, size, device) = match &entry.kind {
            Kind::File { size } => (b'0', Vec::new(), *size, None),
            Kind::Directory => (b'5', Vec::new(), 0, None),
            Kind::Symlink { target } if target.is_empty() || target.contains(&0) => {
                return Err(invalid(entry, "its target is empty or holds a NUL"));
            }
            Kind::Symlink { target } => (b'2', target.clone(), 0, None),
            Kind::Hardlink { target } if bad(target) => return Err(invalid(entry, "its target is not clean")),
            Kind::Hardlink { target } => (b'1', target.clone(), 0, None),
            Kind::CharDevice { major, minor } => (b'3', Vec::new(), 0, Some((*major, *minor))),
            Kind::BlockDevice { major, minor } => (b'4', Vec::new(), 0, Some((*major, *minor))),
            Kind::Fifo => (b'6', Vec::new(), 0, None),
        };
        if entry.xattrs.iter().any(|(name, _)| name.is_empty() || name.contains(&b'=') || name.contains(&0)) {
            return Err(invalid(entry, "an extended attribute's name cannot be written"));
        }
        if device.is_some_and(|(major, minor)| u64::from(major.max(minor)) > MAX_OCTAL_7) {
            return Err(invalid(entry, "its device number does not fit into a tar header"));
        }
        Ok(Self { name, link, flag, size, device })
    }
}

fn invalid(entry: &Entry, reason: &str) -> io::Error {
    let name = String::from_utf8_lossy(&entry.path);
    io::Error::new(io::ErrorKind::InvalidInput, format!("cannot write archive entry {name:?}: {reason}"))
}

/// What ustar cannot say, in order of key.
fn pax_records(entry: &Entry, shape: &Shape) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in &entry.xattrs {
        record(&mut out, &[b"SCHILY.xattr.", &name[..]].concat(), value);
    }
    if u64::from(entry.gid) > MAX_OCTAL_7 {
        record(&mut out, b"gid", entry.gid.to_string().as_bytes());
    }
    if shape.link.len() > NAME {
        record(&mut out, b"linkpath", &shape.link);
    }
    if entry.mtime_nsec != 0 || entry.mtime < 0 || entry.mtime.unsigned_abs() > MAX_OCTAL_11 {
        record(&mut out, b"mtime", time(entry.mtime, entry.mtime_nsec).as_bytes());
    }
    if shape.name.len() > NAME {
        record(&mut out, b"path", &shape.name);
    }
    if shape.size > MAX_OCTAL_11 {
        record(&mut out, b"size", shape.size.to_string().as_bytes());
    }
    if u64::from(entry.uid) > MAX_OCTAL_7 {
        record(&mut out, b"uid", entry.uid.to_string().as_bytes());
    }
    out
}

/// Decimal seconds without trailing zeros.
fn time(seconds: i64, nanos: u32) -> String {
    let (sign, seconds, nanos) = match (seconds, nanos) {
        (0.., _) => ("", seconds.unsigned_abs(), nanos),
        (_, 0) => ("-", seconds.unsigned_abs(), 0),
        _ => ("-", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanos),
    };
    let text = format!("{sign}{seconds}.{nanos:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `LENGTH KEY=VALUE\n`, where LENGTH counts itself.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn pax_header(shape: &Shape, length: usize) -> [u8; BLOCK] {
    let trimmed = shape.name.strip_suffix(b"/").unwrap_or(&shape.name);
    let base = trimmed.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let mut block = [0; BLOCK];
    put(&mut block, 0, NAME, &[b"PaxHeaders/", base].concat());
    octal(&mut block, 100, 8, 0o644);
    octal(&mut block, 108, 8, 0);
    octal(&mut block, 116, 8, 0);
    octal(&mut block, 124, 12, length as u64);
    octal(&mut block, 136, 12, 0);
    seal(block, b'x')
}

fn entry_header(entry: &Entry, shape: &Shape) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let fits = |value: u64, most: u64| if value > most { 0 } else { value };
    put(&mut block, 0, NAME, &shape.name);
    octal(&mut block, 100, 8, u64::from(entry.mode & 0o7777));
    octal(&mut block, 108, 8, fits(entry.uid.into(), MAX_OCTAL_7));
    octal(&mut block, 116, 8, fits(entry.gid.into(), MAX_OCTAL_7));
    octal(&mut block, 124, 12, fits(shape.size, MAX_OCTAL_11));
    octal(&mut block, 136, 12, fits(u64::try_from(entry.mtime).unwrap_or(0), MAX_OCTAL_11));
    put(&mut block, 157, NAME, &shape.link);
    if let Some((major, minor)) = shape.device {
        octal(&mut block, 329, 8, major.into());
        octal(&mut block, 337, 8, minor.into());
    }
    seal(block, shape.flag)
}

/// Type, magic and checksum.
fn seal(mut block: [u8; BLOCK], flag: u8) -> [u8; BLOCK] {
    block[156] = flag;
    put(&mut block, 257, 8, b"ustar\x0000");
    put(&mut block, 148, 8, b"        ");
    let sum = block.iter().map(|&byte| u64::from(byte)).sum();
    octal(&mut block, 148, 7, sum);
    block
}

/// Bytes into a field, cut to its width.
fn put(block: &mut [u8; BLOCK], at: usize, width: usize, bytes: &[u8]) {
    let count = bytes.len().min(width);
    block[at..at + count].copy_from_slice(&bytes[..count]);
}

/// Octal digits and a NUL, `width` bytes in all.
fn octal(block: &mut [u8; BLOCK], at: usize, width: usize, value: u64) {
    put(block, at, width, format!("{value:0digits$o}\0", digits = width - 1).as_bytes());
}
