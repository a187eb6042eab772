//! The 512 byte header block and its number fields.

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

/// Which dialect a header speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// No magic: nothing behind the link name counts.
    V7,
    /// `ustar\0` `00`.
    Ustar,
    /// `ustar  \0`.
    Gnu,
}

/// One header block.
pub(super) struct Header(pub [u8; BLOCK]);

type Reason = String;

impl Header {
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|&byte| byte == 0)
    }

    /// Checks checksum and magic and that no field stands where the dialect has none.
    pub fn dialect(&self) -> Result<Dialect, Reason> {
        let stored = octal(&self.0[148..156]).map_err(|reason| format!("checksum: {reason}"))?;
        let blank = u64::from(b' ') * 8;
        let sum: u64 = self.0[..148].iter().chain(&self.0[156..]).map(|&byte| u64::from(byte)).sum();
        if stored != sum + blank {
            return Err("the header's checksum is wrong".into());
        }
        let dialect = match &self.0[257..265] {
            b"ustar\x0000" | b"ustar\0\0\0" => Dialect::Ustar,
            b"ustar  \0" => Dialect::Gnu,
            b"\0\0\0\0\0\0\0\0" => Dialect::V7,
            _ => return Err("the header has an unknown magic".into()),
        };
        let clear = |range: std::ops::Range<usize>| self.0[range].iter().all(|&byte| byte == 0);
        match dialect {
            Dialect::V7 if !clear(257..BLOCK) => Err("the header has no magic but fields that need one".into()),
            Dialect::Gnu if self.0[345] != 0 || self.0[357] != 0 => {
                Err("a GNU header with access times, which some readers take for a part of the name".into())
            }
            Dialect::Ustar if &self.0[508..512] == b"tar\0" => Err("star's own dialect is not read".into()),
            _ => Ok(dialect),
        }
    }

    pub fn kind(&self) -> u8 {
        self.0[156]
    }

    /// The stored name, with the prefix of a ustar header.
    pub fn name(&self, dialect: Dialect) -> Vec<u8> {
        let name = text(&self.0[..100]);
        let prefix = text(&self.0[345..500]);
        if dialect == Dialect::Ustar && !prefix.is_empty() {
            return [prefix, b"/", name].concat();
        }
        name.to_vec()
    }

    pub fn link(&self) -> &[u8] {
        text(&self.0[157..257])
    }

    pub fn mode(&self) -> Result<u64, Reason> {
        number(&self.0[100..108], "mode")
    }

    pub fn uid(&self) -> Result<u64, Reason> {
        number(&self.0[108..116], "uid")
    }

    pub fn gid(&self) -> Result<u64, Reason> {
        number(&self.0[116..124], "gid")
    }

    pub fn size(&self) -> Result<u64, Reason> {
        number(&self.0[124..136], "size")
    }

    /// Seconds; base-256 ones may lie before 1970.
    pub fn mtime(&self) -> Result<i64, Reason> {
        let field = &self.0[136..148];
        if field[0] == 0xff {
            let (high, low) = field.split_at(4);
            let mut bytes = [0; 8];
            bytes.copy_from_slice(low);
            let value = i64::from_be_bytes(bytes);
            if high.iter().any(|&byte| byte != 0xff) || value >= 0 {
                return Err("mtime: too far in the past".into());
            }
            return Ok(value);
        }
        i64::try_from(number(field, "mtime")?).map_err(|_| "mtime: too far in the future".into())
    }

    pub fn device(&self) -> Result<(u32, u32), Reason> {
        let part = |range, name| {
            let value = number(&self.0[range], name)?;
            u32::try_from(value).map_err(|_| format!("{name}: too large"))
        };
        Ok((part(329..337, "device major")?, part(337..345, "device minor")?))
    }
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Octal, or base 256 if the first bit is set (GNU). Negative ones are refused.
pub(super) fn number(field: &[u8], name: &str) -> Result<u64, Reason> {
    match field.first() {
        Some(0x80) => {
            let (high, low) = field[1..].split_at(field.len().saturating_sub(9));
            if high.iter().any(|&byte| byte != 0) {
                return Err(format!("{name}: the number is too large"));
            }
            let value = low.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
            Some(value).filter(|&value| value <= i64::MAX as u64).ok_or(format!("{name}: the number is too large"))
        }
        Some(first) if *first > 0x80 => Err(format!("{name}: the number is negative or too large")),
        _ => octal(field).map_err(|reason| format!("{name}: {reason}")),
    }
}

/// Digits between optional leading blanks and trailing blanks or NULs; an empty field is zero.
fn octal(field: &[u8]) -> Result<u64, Reason> {
    let start = field.iter().position(|&byte| byte != b' ').unwrap_or(field.len());
    let digits = field[start..].iter().take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    if field[start + digits..].iter().any(|byte| !matches!(byte, b' ' | 0)) {
        return Err("not an octal number".into());
    }
    Ok(field[start..start + digits].iter().fold(0, |value, byte| value << 3 | u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number(b"0000644\0", "n"), Ok(0o644));
        assert_eq!(number(b"   644 \0", "n"), Ok(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0", "n"), Ok(0));
        assert_eq!(number(b"77777777777 ", "n"), Ok(0o77_777_777_777));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x01\0\0\0\0", "n"), Ok(1 << 32));
        assert_eq!(number(b"\x80\0\0\0\0\x02\0\0", "n"), Ok(2 << 16));
        for bad in [&b"00006x4\0"[..], b"0644\0 7\0", b"0000648\0", b"-000644\0", b"\xff\xff\xff\xff\xff\xff\xff\xfe"] {
            assert!(number(bad, "n").is_err(), "{bad:?}");
        }
        assert!(number(b"\x80\xff\0\0\0\0\0\x01\0\0\0\0", "n").is_err());
    }
}
