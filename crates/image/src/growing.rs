//! A file that one thread writes while another reads it from the beginning.
//!
//! The network thread stores and hashes a blob; the layer's reader follows it through the page cache. So a slow reader
//! never holds up the network, memory stays bounded, and after a resumed transfer the reader simply gets the part that
//! was there already.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct State {
    available: u64,
    end: Option<Result<(), String>>,
}

/// How far the file has grown.
#[derive(Debug, Default)]
pub(crate) struct Growing {
    state: Mutex<State>,
    wake: Condvar,
}

impl Growing {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This many more bytes are in the file.
    pub(crate) fn advance(&self, bytes: u64) {
        self.state().available += bytes;
        self.wake.notify_all();
    }

    /// Nothing more comes: the file is whole, or it failed for this reason. The first call counts.
    pub(crate) fn end(&self, how: Result<(), String>) {
        self.state().end.get_or_insert(how);
        self.wake.notify_all();
    }

    /// Reads `file` from its beginning, waiting for what is not there yet.
    pub(crate) fn reader<'a>(&'a self, file: &'a File) -> GrowingReader<'a> {
        GrowingReader { growing: self, file, at: 0 }
    }
}

/// See [`Growing::reader`].
#[derive(Debug)]
pub(crate) struct GrowingReader<'a> {
    growing: &'a Growing,
    file: &'a File,
    at: u64,
}

impl Read for GrowingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.growing.state();
        while state.available <= self.at {
            match &state.end {
                Some(Ok(())) => return Ok(0),
                Some(Err(why)) => return Err(io::Error::other(why.clone())),
                None => state = self.growing.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
        let ready = usize::try_from(state.available - self.at).unwrap_or(usize::MAX);
        drop(state);
        let want = buffer.len().min(ready);
        let count = self.file.read_at(&mut buffer[..want], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_reader_sees_everything_or_the_failure() {
        for fails in [false, true] {
            let file = tempfile::tempfile().unwrap();
            let growing = Growing::default();
            let text = std::thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let mut text = Vec::new();
                    growing.reader(&file).read_to_end(&mut text).map(|_| text)
                });
                for _ in 0..1000 {
                    (&file).write_all(b"0123456789").unwrap();
                    growing.advance(10);
                }
                growing.end(if fails { Err("cut".into()) } else { Ok(()) });
                reader.join().unwrap()
            });
            match text {
                Ok(text) => assert!(!fails && text.len() == 10_000),
                Err(cause) => assert!(fails && cause.to_string() == "cut"),
            }
        }
    }
}
