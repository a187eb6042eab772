//! The reader: headers to entries, bounded.

use std::io::{self, Read};

use super::header::{BLOCK, Dialect, Header};
use super::pax::Pax;
use super::sparse::{self, MapLines, Segment};
use super::{Entry, Error, Kind};
use crate::Limits;

/// Bytes of one pax header.
const MAX_PAX: u64 = 1 << 20;
/// Bytes of one path component (`NAME_MAX`).
const MAX_COMPONENT: usize = 255;

/// Reads entries one after another.
pub struct Reader<R> {
    body: Body<R>,
    limits: Limits,
    entries: u64,
    expanded: u64,
    end_optional: bool,
    ended: bool,
}

/// Content of the current entry.
pub struct Body<R> {
    source: R,
    entry: String,
    segments: std::vec::IntoIter<Segment>,
    segment: Segment,
    size: u64,
    position: u64,
    stored: u64,
    padding: u64,
}

/// A part of a file's content, as [`Body::piece`] hands it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes are in the buffer.
    Data(usize),
    /// So many zeros that the archive does not hold (a sparse file).
    Hole(u64),
    /// Nothing more.
    End,
}

/// What `x`, `L` and `K` headers said about the entry that follows.
#[derive(Default)]
struct Ahead {
    pax: Option<Pax>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Ahead {
    fn any(&self) -> bool {
        self.pax.is_some() || self.name.is_some() || self.link.is_some()
    }
}

impl<R: Read> Reader<R> {
    /// Over an uncompressed stream.
    pub fn new(source: R, limits: Limits) -> Self {
        let body = Body {
            source,
            entry: String::new(),
            segments: Vec::new().into_iter(),
            segment: Segment { offset: 0, length: 0 },
            size: 0,
            position: 0,
            stored: 0,
            padding: 0,
        };
        Self { body, limits, entries: 0, expanded: 0, end_optional: false, ended: false }
    }

    /// Accepts a stream that ends between entries without the end mark, as some tools write it. Only for streams
    /// whose completeness is proved otherwise (a layer's diff id).
    #[must_use]
    pub fn end_mark_optional(mut self) -> Self {
        self.end_optional = true;
        self
    }

    /// The next entry, or `None` at the end (two zero blocks, or one at the very end of the stream; after it only
    /// zeros may follow). Content of the previous entry that was not read is skipped.
    ///
    /// # Errors
    /// [`Error::Refused`] for what the module's table refuses, for truncation, and every bound of [`Limits`].
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        self.body.skip()?;
        let mut ahead = Ahead::default();
        while !self.ended {
            let Some(header) = self.header(&ahead)? else { break };
            self.count_entry()?;
            let dialect = header.dialect().map_err(|reason| refused(&header.name(Dialect::V7), reason))?;
            let name = header.name(dialect);
            match header.kind() {
                b'x' | b'g' | b'L' | b'K' => self.take_extension(&header, &name, &mut ahead)?,
                _ => {
                    let entry = self.entry(&header, dialect, ahead)?;
                    return Ok(Some(entry));
                }
            }
        }
        Ok(None)
    }

    /// Content of the current entry, holes read as zeros.
    pub fn content(&mut self) -> &mut Body<R> {
        &mut self.body
    }

    /// Reads to the true end of the stream and returns the source.
    ///
    /// # Errors
    /// If something other than zeros follows the end.
    pub fn finish(mut self) -> Result<R, Error> {
        while self.next_entry()?.is_some() {}
        let mut buffer = vec![0; 64 << 10];
        let mut total = 0u64;
        loop {
            let count = self.body.source.read(&mut buffer)?;
            total += count as u64;
            if count == 0 {
                return Ok(self.body.source);
            }
            if buffer[..count].iter().any(|&byte| byte != 0) || total > self.limits.bytes {
                return Err(refused(b"(end of the archive)", "something follows the end of the archive"));
            }
        }
    }

    fn count_entry(&mut self) -> Result<(), Error> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(refused(
                self.body.entry.as_bytes(),
                format!("the archive has more than the limit of {} entries", self.limits.entries),
            ));
        }
        Ok(())
    }

    /// The next header block; `None` at the end.
    fn header(&mut self, ahead: &Ahead) -> Result<Option<Header>, Error> {
        let mut header = Header([0; BLOCK]);
        let got = fill(&mut self.body.source, &mut header.0)?;
        let at_end = got == 0 && self.end_optional;
        if got != BLOCK && !at_end {
            return Err(refused(self.body.entry.as_bytes(), "the archive is truncated after this entry"));
        }
        if !at_end && !header.is_zero() {
            return Ok(Some(header));
        }
        let got = fill(&mut self.body.source, &mut header.0)?;
        if ahead.any() {
            return Err(refused(self.body.entry.as_bytes(), "the archive ends between an extension and its entry"));
        }
        if (got != 0 && got != BLOCK) || !header.is_zero() {
            return Err(refused(self.body.entry.as_bytes(), "a lone zero block and then more after this entry"));
        }
        self.ended = true;
        Ok(None)
    }

    fn take_extension(&mut self, header: &Header, name: &[u8], ahead: &mut Ahead) -> Result<(), Error> {
        let refuse = |reason: String| refused(name, reason);
        let size = header.size().map_err(refuse)?;
        let limit = if matches!(header.kind(), b'x' | b'g') { MAX_PAX } else { self.limits.path as u64 + 1 };
        if size > limit {
            return Err(refuse(format!("an extension header of {size} bytes (limit {limit})")));
        }
        let mut body = vec![0; usize::try_from(size.next_multiple_of(BLOCK as u64)).unwrap_or_default()];
        if fill(&mut self.body.source, &mut body)? != body.len() {
            return Err(refuse("the archive is truncated in an extension header".into()));
        }
        body.truncate(usize::try_from(size).unwrap_or_default());
        let mixed = || refuse("two headers that contradict each other for one entry".into());
        match header.kind() {
            b'g' if ahead.any() => Err(mixed()),
            b'g' => Pax::check_global(&body).map_err(refuse),
            b'x' if ahead.any() => Err(mixed()),
            b'x' => {
                ahead.pax = Some(Pax::parse(&body).map_err(refuse)?);
                Ok(())
            }
            kind => {
                let slot = if kind == b'L' { &mut ahead.name } else { &mut ahead.link };
                if slot.is_some() || ahead.pax.is_some() {
                    return Err(mixed());
                }
                *slot = Some(long_name(body).map_err(refuse)?);
                Ok(())
            }
        }
    }

    fn entry(&mut self, header: &Header, dialect: Dialect, ahead: Ahead) -> Result<Entry, Error> {
        let mut pax = ahead.pax.unwrap_or_default();
        let stored_name = pax.sparse.name.take().or(pax.path.take()).or(ahead.name);
        let name = stored_name.unwrap_or_else(|| header.name(dialect));
        let refuse = |reason: String| refused(&name, reason);
        self.body.entry = String::from_utf8_lossy(&name).into_owned();
        let size = pax.size.map_or_else(|| header.size(), Ok).map_err(refuse)?;
        let link = pax.linkpath.take().or(ahead.link).unwrap_or_else(|| header.link().to_vec());
        let (seconds, nanos) = pax.mtime.map_or_else(|| Ok((header.mtime()?, 0)), Ok).map_err(refuse)?;
        let id = |value: Result<u64, String>| {
            let id = u32::try_from(value.map_err(refuse)?).ok().filter(|&id| id != u32::MAX);
            id.ok_or_else(|| refuse("an owner that is no 32 bit id".into()))
        };
        let uid = id(pax.uid.map_or_else(|| header.uid(), Ok))?;
        let gid = id(pax.gid.map_or_else(|| header.gid(), Ok))?;
        let slash = name.ends_with(b"/");
        let path = clean(&name, self.limits.path).map_err(refuse)?;
        let kind = match header.kind() {
            b'0' | 0 if slash && (header.kind() == b'0' || size != 0) => {
                return Err(refuse("a file whose name ends in a slash".into()));
            }
            b'0' | 0 if !slash => Kind::File { size: self.set_content(&name, size, &pax)? },
            b'S' => Kind::File { size: self.set_old_sparse(&name, size, header, dialect)? },
            other => {
                if size != 0 {
                    return Err(refuse("an entry without content has a size".into()));
                }
                plain_kind(other, &link, header, self.limits.path).map_err(refuse)?
            }
        };
        if pax.sparse.any() && header.kind() != b'0' && header.kind() != 0 {
            return Err(refuse("a sparse map on something that is no file".into()));
        }
        if path.is_empty() && kind != Kind::Directory {
            return Err(refuse("the root itself is no directory".into()));
        }
        let mode = u32::try_from(header.mode().map_err(refuse)? & 0o7777).unwrap_or_default();
        let xattrs = pax.xattrs.into_iter().collect();
        Ok(Entry { path, kind, mode, uid, gid, mtime: seconds, mtime_nsec: nanos, xattrs })
    }

    /// Sets up the content of a file; returns its size after expansion.
    fn set_content(&mut self, name: &[u8], stored: u64, pax: &Pax) -> Result<u64, Error> {
        let refuse = |reason: String| refused(name, reason);
        if !pax.sparse.any() {
            self.start(name, vec![Segment { offset: 0, length: stored }], stored, stored)?;
            return Ok(stored);
        }
        let size = pax.sparse.size.ok_or_else(|| refuse("a sparse file without a size".into()))?;
        let mut data = stored;
        let map = match sparse::from_keys(&pax.sparse).map_err(refuse)? {
            Some(map) => map,
            None => {
                let mut lines = MapLines::default();
                loop {
                    let block = self.block(name)?;
                    data = data.checked_sub(BLOCK as u64).ok_or_else(|| refuse("a truncated sparse map".into()))?;
                    if lines.take(&block).map_err(refuse)? {
                        break lines.finish().map_err(refuse)?;
                    }
                }
            }
        };
        self.start(name, map, size, data)?;
        Ok(size)
    }

    fn set_old_sparse(&mut self, name: &[u8], stored: u64, header: &Header, dialect: Dialect) -> Result<u64, Error> {
        let refuse = |reason: String| refused(name, reason);
        if dialect != Dialect::Gnu {
            return Err(refuse("a GNU sparse file without a GNU header".into()));
        }
        let (mut map, size, mut more) = sparse::from_header(header).map_err(refuse)?;
        while more {
            let block = self.block(name)?;
            more = sparse::from_block(&block, &mut map).map_err(refuse)?;
        }
        self.start(name, map, size, stored)?;
        Ok(size)
    }

    fn block(&mut self, name: &[u8]) -> Result<[u8; BLOCK], Error> {
        let mut block = [0; BLOCK];
        if fill(&mut self.body.source, &mut block)? != BLOCK {
            return Err(refused(name, "the archive is truncated in a sparse map"));
        }
        Ok(block)
    }

    fn start(&mut self, name: &[u8], map: Vec<Segment>, size: u64, stored: u64) -> Result<(), Error> {
        sparse::check(&map, size, stored).map_err(|reason| refused(name, reason))?;
        self.expanded = self.expanded.saturating_add(size);
        if self.expanded > self.limits.bytes {
            return Err(refused(name, format!("the files are larger than the limit of {} bytes", self.limits.bytes)));
        }
        let body = &mut self.body;
        body.segments = map.into_iter();
        body.segment = body.segments.next().unwrap_or(Segment { offset: size, length: 0 });
        (body.size, body.position, body.stored) = (size, 0, stored);
        body.padding = stored.next_multiple_of(BLOCK as u64) - stored;
        Ok(())
    }
}

impl<R: Read> Body<R> {
    /// The next part: data into `buffer` (which must not be empty), or a hole, which is not written out.
    ///
    /// # Errors
    /// The source's, or `UnexpectedEof` naming the entry.
    pub fn piece(&mut self, buffer: &mut [u8]) -> io::Result<Piece> {
        while self.segment.length == 0 {
            match self.segments.next() {
                Some(next) => self.segment = next,
                None if self.position < self.size => {
                    let hole = self.size - self.position;
                    self.position = self.size;
                    return Ok(Piece::Hole(hole));
                }
                None => return Ok(Piece::End),
            }
        }
        if self.position < self.segment.offset {
            let hole = self.segment.offset - self.position;
            self.position = self.segment.offset;
            return Ok(Piece::Hole(hole));
        }
        let most = usize::try_from(self.segment.length).unwrap_or(usize::MAX).min(buffer.len());
        let count = read_some(&mut self.source, &mut buffer[..most])?;
        if count == 0 {
            return Err(self.truncated());
        }
        self.segment.length -= count as u64;
        self.segment.offset += count as u64;
        self.position += count as u64;
        self.stored -= count as u64;
        Ok(Piece::Data(count))
    }

    fn truncated(&self) -> io::Error {
        io::Error::new(io::ErrorKind::UnexpectedEof, format!("the archive is truncated in entry {:?}", self.entry))
    }

    /// Skips what was not read.
    fn skip(&mut self) -> io::Result<()> {
        let mut rest = std::mem::take(&mut self.stored) + std::mem::take(&mut self.padding);
        self.segments = Vec::new().into_iter();
        self.segment.length = 0;
        self.position = self.size;
        let mut buffer = [0; 8 << 10];
        while rest > 0 {
            let most = usize::try_from(rest).unwrap_or(usize::MAX).min(buffer.len());
            let count = read_some(&mut self.source, &mut buffer[..most])?;
            if count == 0 {
                return Err(self.truncated());
            }
            rest -= count as u64;
        }
        Ok(())
    }
}

impl<R: Read> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.position == self.size {
            return Ok(0);
        }
        let gap = match self.segment.length {
            0 => None,
            _ => Some(self.segment.offset - self.position),
        };
        if gap == Some(0) {
            return Ok(match self.piece(buffer)? {
                Piece::Data(count) => count,
                Piece::Hole(_) | Piece::End => 0,
            });
        }
        self.read_zeros(buffer)
    }
}

impl<R: Read> Body<R> {
    /// At a hole, or at the end of a segment.
    fn read_zeros(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.segment.length == 0 {
            match self.segments.next() {
                Some(next) => self.segment = next,
                None => self.segment = Segment { offset: self.size, length: u64::MAX },
            }
        }
        let gap = self.segment.offset - self.position;
        if gap == 0 {
            return self.read(buffer);
        }
        let count = usize::try_from(gap).unwrap_or(usize::MAX).min(buffer.len());
        buffer[..count].fill(0);
        self.position += count as u64;
        if self.position == self.size {
            self.segment.length = 0;
        }
        Ok(count)
    }
}

/// Kinds without content.
fn plain_kind(kind: u8, link: &[u8], header: &Header, longest: usize) -> Result<Kind, String> {
    let device = || header.device();
    Ok(match kind {
        b'0' | 0 | b'5' => Kind::Directory,
        b'1' => {
            let target = clean(link, longest).map_err(|reason| format!("its hard link target: {reason}"))?;
            if target.is_empty() {
                return Err("a hard link to the root".into());
            }
            Kind::Hardlink { target }
        }
        b'2' if link.is_empty() || link.len() >= longest => {
            return Err("a symbolic link whose target is empty or too long".into());
        }
        b'2' => Kind::Symlink { target: link.to_vec() },
        b'3' => device().map(|(major, minor)| Kind::CharDevice { major, minor })?,
        b'4' => device().map(|(major, minor)| Kind::BlockDevice { major, minor })?,
        b'6' => Kind::Fifo,
        other => return Err(format!("unknown type {:?}", char::from(other))),
    })
}

/// A GNU long name: up to its NUL.
fn long_name(mut body: Vec<u8>) -> Result<Vec<u8>, String> {
    let end = body.iter().position(|&byte| byte == 0).unwrap_or(body.len());
    if end == 0 || body[end..].iter().any(|&byte| byte != 0) {
        return Err("a long name that is empty or goes on after its end".into());
    }
    body.truncate(end);
    Ok(body)
}

/// A clean relative path (see [`Entry`]), or why there is none.
fn clean(name: &[u8], longest: usize) -> Result<Vec<u8>, String> {
    if name.is_empty() {
        return Err("it has no name".into());
    }
    if name.len() > longest {
        return Err(format!("its path is longer than the limit of {longest} bytes"));
    }
    if name.starts_with(b"/") && name != b"/" {
        return Err("an absolute name, which would lie outside of the image".into());
    }
    let mut path = Vec::with_capacity(name.len());
    for component in name.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
        if component == b".." {
            return Err("a name with \"..\", which may lie outside of the image".into());
        }
        if component.contains(&0) || component.len() > MAX_COMPONENT {
            return Err(format!("a name with a NUL or longer than {MAX_COMPONENT} bytes"));
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(component);
    }
    Ok(path)
}

fn refused(entry: &[u8], reason: impl Into<String>) -> Error {
    Error::Refused { entry: String::from_utf8_lossy(entry).into_owned(), reason: reason.into() }
}

fn read_some(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Reads until the buffer is full or the source ends.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match read_some(source, &mut buffer[got..])? {
            0 => break,
            count => got += count,
        }
    }
    Ok(got)
}
