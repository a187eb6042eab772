//! pax extended headers: `LENGTH KEY=VALUE\n` records.

use std::collections::BTreeMap;

type Reason = String;
type Record<'a> = (&'a [u8], &'a [u8]);

/// Keys of an `x` header that matter here.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub path: Option<Vec<u8>>,
    pub linkpath: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<(i64, u32)>,
    /// Sorted by name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub sparse: SparseKeys,
}

/// The `GNU.sparse.*` keys.
#[derive(Debug, Default)]
pub(super) struct SparseKeys {
    pub major: Option<u64>,
    pub minor: Option<u64>,
    pub name: Option<Vec<u8>>,
    /// `realsize` of 1.0, `size` of 0.x.
    pub size: Option<u64>,
    pub blocks: Option<u64>,
    /// 0.1: offset and length in turn.
    pub map: Option<Vec<u64>>,
    /// 0.0: one pair of records a segment.
    pub offsets: Vec<u64>,
    pub lengths: Vec<u64>,
}

impl SparseKeys {
    pub fn any(&self) -> bool {
        self.major.is_some() || self.size.is_some() || self.map.is_some() || !self.offsets.is_empty()
    }
}

/// Splits a body into records, strictly.
fn records(mut body: &[u8]) -> Result<Vec<Record<'_>>, Reason> {
    let mut out = Vec::new();
    while !body.is_empty() {
        let blank = body.iter().take(20).position(|&byte| byte == b' ').ok_or("a pax record without a length")?;
        let length = usize::try_from(decimal(&body[..blank])?).map_err(|_| "a pax record is too long")?;
        if length > body.len() || length < blank + 4 || body[length - 1] != b'\n' {
            return Err("a pax record whose length is wrong".into());
        }
        let record = &body[blank + 1..length - 1];
        let equals = record.iter().position(|&byte| byte == b'=').ok_or("a pax record without a value")?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if key.is_empty() || key.contains(&0) {
            return Err("a pax record with an empty key or a NUL in its key".into());
        }
        out.push((key, value));
        body = &body[length..];
    }
    Ok(out)
}

/// A plain decimal number.
pub(super) fn decimal(text: &[u8]) -> Result<u64, Reason> {
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return Err(format!("{:?} is not a decimal number", String::from_utf8_lossy(text)));
    }
    Ok(text.iter().fold(0, |value, byte| value * 10 + u64::from(byte - b'0')))
}

/// Seconds with a fraction, `-1.5` being half a second before -1.
fn time(text: &[u8]) -> Result<(i64, u32), Reason> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let seconds = i64::try_from(decimal(parts.next().unwrap_or_default())?).map_err(|_| "mtime: too large")?;
    let fraction = parts.next().unwrap_or(b"0");
    if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
        return Err("mtime: not a decimal number".into());
    }
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanos = digits.fold(0u32, |value, byte| value * 10 + u32::from(byte - b'0'));
    Ok(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

/// A name from a record: not empty, no NUL.
fn name(key: &[u8], value: &[u8]) -> Result<Vec<u8>, Reason> {
    if value.is_empty() || value.contains(&0) {
        return Err(format!("pax key {} is empty or holds a NUL", String::from_utf8_lossy(key)));
    }
    Ok(value.to_vec())
}

fn set<T>(slot: &mut Option<T>, value: T, key: &[u8]) -> Result<(), Reason> {
    if slot.replace(value).is_some() {
        return Err(format!("pax key {} stands there twice", String::from_utf8_lossy(key)));
    }
    Ok(())
}

impl Pax {
    /// Of one entry's header.
    pub fn parse(body: &[u8]) -> Result<Self, Reason> {
        let mut pax = Self::default();
        let mut others = std::collections::BTreeSet::new();
        for (key, value) in records(body)? {
            pax.take(key, value, &mut others)?;
        }
        Ok(pax)
    }

    fn take<'a>(
        &mut self,
        key: &'a [u8],
        value: &[u8],
        others: &mut std::collections::BTreeSet<&'a [u8]>,
    ) -> Result<(), Reason> {
        match key {
            b"path" => set(&mut self.path, name(key, value)?, key),
            b"linkpath" => set(&mut self.linkpath, name(key, value)?, key),
            b"size" => set(&mut self.size, decimal(value)?, key),
            b"uid" => set(&mut self.uid, decimal(value)?, key),
            b"gid" => set(&mut self.gid, decimal(value)?, key),
            b"mtime" => set(&mut self.mtime, time(value)?, key),
            _ if key.starts_with(b"GNU.sparse.") => self.sparse.take(key, value),
            _ if key.starts_with(b"SCHILY.xattr.") => {
                let attribute = key[b"SCHILY.xattr.".len()..].to_vec();
                if attribute.is_empty() {
                    return Err("an extended attribute without a name".into());
                }
                match self.xattrs.insert(attribute, value.to_vec()) {
                    Some(_) => Err(format!("pax key {} stands there twice", String::from_utf8_lossy(key))),
                    None => Ok(()),
                }
            }
            _ if !ignorable(key, value) => {
                Err(format!("pax key {} is not known and may change the meaning", String::from_utf8_lossy(key)))
            }
            _ if !others.insert(key) => Err(format!("pax key {} stands there twice", String::from_utf8_lossy(key))),
            _ => Ok(()),
        }
    }

    /// A global header may hold a comment (`git archive` writes one) and nothing else: readers disagree on the rest.
    pub fn check_global(body: &[u8]) -> Result<(), Reason> {
        match records(body)?.into_iter().find(|(key, _)| *key != b"comment") {
            Some((key, _)) => {
                Err(format!("pax key {} in a global header, which readers disagree on", String::from_utf8_lossy(key)))
            }
            None => Ok(()),
        }
    }
}

impl SparseKeys {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Reason> {
        match &key[b"GNU.sparse.".len()..] {
            b"major" => set(&mut self.major, decimal(value)?, key),
            b"minor" => set(&mut self.minor, decimal(value)?, key),
            b"name" => set(&mut self.name, name(key, value)?, key),
            b"size" | b"realsize" => set(&mut self.size, decimal(value)?, key),
            b"numblocks" => set(&mut self.blocks, decimal(value)?, key),
            b"map" => {
                let numbers: Result<_, _> = value.split(|&byte| byte == b',').map(decimal).collect();
                set(&mut self.map, if value.is_empty() { Vec::new() } else { numbers? }, key)
            }
            b"offset" if self.offsets.len() == self.lengths.len() => {
                self.offsets.push(decimal(value)?);
                Ok(())
            }
            b"numbytes" if self.offsets.len() == self.lengths.len() + 1 => {
                self.lengths.push(decimal(value)?);
                Ok(())
            }
            _ => Err(format!("pax key {} is not known or out of order", String::from_utf8_lossy(key))),
        }
    }
}

/// Keys that change nothing that we keep. Vendors' keys are ignored by every reader that does not know them, except
/// those that move content.
fn ignorable(key: &[u8], value: &[u8]) -> bool {
    const MOVING: [&[u8]; 4] = [b"GNU.dumpdir", b"GNU.volume.", b"SCHILY.realsize", b"SCHILY.filetype"];
    match key {
        b"atime" | b"ctime" | b"uname" | b"gname" | b"comment" => true,
        b"hdrcharset" | b"charset" => value == b"BINARY" || value == b"ISO-IR 10646 2000 UTF-8",
        _ => key.contains(&b'.') && !MOVING.iter().any(|moving| key.starts_with(moving)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time(b"12"), Ok((12, 0)));
        assert_eq!(time(b"12.5"), Ok((12, 500_000_000)));
        assert_eq!(time(b"12.1234567899"), Ok((12, 123_456_789)));
        assert_eq!(time(b"-1.5"), Ok((-2, 500_000_000)));
        assert!(time(b"").is_err() && time(b"1.").is_err() && time(b"1e9").is_err() && time(b"--1").is_err());
    }

    #[test]
    fn refuses_repeats_and_unknown_keys() {
        assert!(Pax::parse(b"9 path=a\n").is_ok());
        assert!(Pax::parse(b"9 path=a\n9 path=a\n").unwrap_err().contains("twice"));
        assert!(Pax::parse(b"11 path=a\n").is_err());
        assert!(Pax::parse(b"8 path=a\n").is_err());
        assert!(Pax::parse(b"8 path=\n").is_err());
        assert!(Pax::parse(b"11 other=a\n").unwrap_err().contains("not known"));
        assert!(Pax::parse(b"12 MINE.key=a\n").is_err());
        assert!(Pax::parse(b"13 MINE.key=a\n").is_err());
        assert!(Pax::parse(b"14 MINE.key=a\n").is_ok());
        assert!(Pax::check_global(b"9 size=1\n").is_err());
        assert!(Pax::check_global(b"13 comment=a\n").is_ok());
    }
}
