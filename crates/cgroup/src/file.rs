//! Reading and writing control files below an open group directory.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::Error;

/// Largest control file that is read: `memory.stat` has 2 KiB, `cgroup.procs` of 30,000 processes 200.
const LONGEST_FILE: usize = 1 << 20;

/// An open group directory in one hierarchy.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) dir: OwnedFd,
    /// For messages.
    pub(crate) path: String,
}

impl Group {
    pub(crate) fn open(path: String) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let dir = rustix::fs::open(path.as_str(), flags, Mode::empty())?;
        Ok(Self { dir, path })
    }

    fn name(&self, file: &str) -> String {
        format!("{}/{file}", self.path)
    }

    /// Opens a control file.
    pub(crate) fn file(&self, file: &str, flags: OFlags) -> Result<OwnedFd, Error> {
        rustix::fs::openat(self.dir.as_fd(), file, flags | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Error::file("open", &self.name(file), errno))
    }

    pub(crate) fn exists(&self, file: &str) -> bool {
        rustix::fs::accessat(&self.dir, file, rustix::fs::Access::EXISTS, rustix::fs::AtFlags::empty()).is_ok()
    }

    /// Writes a value in one call, as the kernel asks.
    pub(crate) fn write(&self, file: &str, value: &str) -> Result<(), Error> {
        self.try_write(file, value)
            .map_err(|errno| Error::file(&format!("write {value:?} to"), &self.name(file), errno))
    }

    /// As [`Group::write`] with the kernel's own number, for callers that try another way.
    pub(crate) fn try_write(&self, file: &str, value: &str) -> Result<(), Errno> {
        let open = rustix::fs::openat(&self.dir, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        loop {
            match rustix::io::write(&open, value.as_bytes()) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// Reads a whole control file.
    pub(crate) fn read(&self, file: &str) -> Result<String, Error> {
        self.try_read(file).map_err(|errno| Error::file("read", &self.name(file), errno))
    }

    fn try_read(&self, file: &str) -> Result<String, Errno> {
        let open = rustix::fs::openat(&self.dir, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut bytes = Vec::with_capacity(512);
        let mut chunk = [0u8; 4096];
        while bytes.len() < LONGEST_FILE {
            match rustix::io::read(&open, &mut chunk) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Several values, one call each, through one descriptor.
    pub(crate) fn write_each(&self, file: &str, values: &[String]) -> Result<(), Error> {
        let open = self.file(file, OFlags::WRONLY)?;
        for value in values {
            rustix::io::retry_on_intr(|| rustix::io::pwrite(&open, value.as_bytes(), 0))
                .map_err(|errno| Error::file(&format!("write {value:?} to"), &self.name(file), errno))?;
        }
        Ok(())
    }

    /// The file's only number; `max` is [`u64::MAX`], a missing file `None`.
    pub(crate) fn number(&self, file: &str) -> Option<u64> {
        self.with_small(file, parse_number)
    }

    /// The number behind a word at the start of a line (`oom_kill 3`); a missing file or word is `None`.
    pub(crate) fn keyed(&self, file: &str, key: &str) -> Option<u64> {
        self.with_small(file, |text| find_key(text, key))
    }

    /// Files of a few lines come whole with the first read.
    fn with_small(&self, file: &str, parse: impl Fn(&str) -> Option<u64>) -> Option<u64> {
        let open = rustix::fs::openat(&self.dir, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut buffer = [0u8; 4096];
        let count = rustix::io::retry_on_intr(|| rustix::io::read(&open, &mut buffer)).ok()?;
        if count == buffer.len() {
            return parse(&self.try_read(file).ok()?);
        }
        parse(std::str::from_utf8(buffer.get(..count)?).ok()?)
    }

    pub(crate) fn text(&self, file: &str) -> Option<String> {
        self.try_read(file).ok()
    }
}

/// `max` and version 1's "no limit" (a page-aligned `i64::MAX`) are [`u64::MAX`].
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let text = text.trim();
    if text == "max" {
        return Some(u64::MAX);
    }
    let number: i128 = text.parse().ok()?;
    if number < 0 || number >= i128::from(i64::MAX) - (1 << 20) {
        return Some(u64::MAX);
    }
    u64::try_from(number).ok()
}

pub(crate) fn find_key(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (word, value) = line.split_once(' ')?;
        (word == key).then(|| parse_number(value)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_keys() {
        assert_eq!(parse_number("max\n"), Some(u64::MAX));
        assert_eq!(parse_number("9223372036854771712\n"), Some(u64::MAX));
        assert_eq!(parse_number("-1\n"), Some(u64::MAX));
        assert_eq!(parse_number("4096\n"), Some(4096));
        assert_eq!(parse_number("x"), None);
        assert_eq!(find_key("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "oom_kill"), Some(3));
        assert_eq!(find_key("max 2\n", "oom_kill"), None);
    }
}
