//! The keys that leave a container running: `ctrl-p,ctrl-q` unless told otherwise.

use crate::failure::{Failure, Result};

/// A sequence of keys and how much of it was typed.
#[derive(Clone, Debug)]
pub struct DetachKeys {
    sequence: Vec<u8>,
    typed: usize,
}

/// What became of typed bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// Send these.
    Pass(Vec<u8>),
    /// Send these, then leave.
    Leave(Vec<u8>),
}

impl Default for DetachKeys {
    fn default() -> Self {
        Self { sequence: vec![16, 17], typed: 0 }
    }
}

impl DetachKeys {
    /// Docker's grammar: single characters and `ctrl-X` (X of `a-z@[\]^_`) with commas between. Nothing given is the
    /// default.
    pub fn parse(text: Option<&str>) -> Result<Self> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self::default()) };
        let sequence: Option<Vec<u8>> = text.split(',').map(key).collect();
        match sequence {
            Some(sequence) => Ok(Self { sequence, typed: 0 }),
            None => Err(Failure::new(format!(
                "invalid detach keys ({text}): write characters or ctrl-<letter> with commas between, for example ctrl-p,ctrl-q"
            ))),
        }
    }

    /// Passes typed bytes through; the start of the sequence is held back until it is clear what it is.
    pub fn filter(&mut self, bytes: &[u8]) -> Typed {
        let mut passed = Vec::with_capacity(bytes.len() + self.typed);
        for byte in bytes {
            if self.sequence.get(self.typed) == Some(byte) {
                self.typed += 1;
                if self.typed == self.sequence.len() {
                    self.typed = 0;
                    return Typed::Leave(passed);
                }
                continue;
            }
            let held = std::mem::take(&mut self.typed);
            passed.extend(self.sequence.get(..held).unwrap_or_default());
            if self.sequence.first() == Some(byte) {
                self.typed = 1;
            } else {
                passed.push(*byte);
            }
        }
        Typed::Pass(passed)
    }
}

fn key(word: &str) -> Option<u8> {
    if let Some(control) = word.strip_prefix("ctrl-") {
        let [letter] = control.as_bytes() else { return None };
        return match letter.to_ascii_lowercase() {
            letter @ b'a'..=b'z' => Some(letter - b'a' + 1),
            b'@' => Some(0),
            letter @ b'['..=b'_' => Some(letter - b'[' + 27),
            _ => None,
        };
    }
    match word.as_bytes() {
        [byte] if byte.is_ascii() => Some(*byte),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        let keys = |text| DetachKeys::parse(Some(text)).map(|keys| keys.sequence);
        assert_eq!(keys("ctrl-p,ctrl-q").unwrap(), [16, 17]);
        assert_eq!(keys("a,ctrl-@,ctrl-[,ctrl-_,ctrl-\\").unwrap(), [b'a', 0, 27, 31, 28]);
        assert_eq!(DetachKeys::parse(None).unwrap().sequence, [16, 17]);
        for bad in ["ctrl-", "ctrl-aa", "ab", ",", "ctrl-1", "é"] {
            assert!(keys(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn held_back_and_released() {
        let mut keys = DetachKeys::default();
        assert_eq!(keys.filter(b"ab"), Typed::Pass(b"ab".to_vec()));
        assert_eq!(keys.filter(b"a\x10"), Typed::Pass(b"a".to_vec()));
        assert_eq!(keys.filter(b"b"), Typed::Pass(b"\x10b".to_vec()));
        assert_eq!(keys.filter(b"\x10\x10"), Typed::Pass(b"\x10".to_vec()));
        assert_eq!(keys.filter(b"\x11rest"), Typed::Leave(Vec::new()));
        let mut keys = DetachKeys::default();
        assert_eq!(keys.filter(b"x\x10\x11"), Typed::Leave(b"x".to_vec()));
    }
}
