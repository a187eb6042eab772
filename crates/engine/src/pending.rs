//! Marks of operations under way: one file a container in `<run>/pending`, locked by the process that works on it.
//!
//! The mark is also the container's lock among state-changing verbs. A mark that nobody holds is a crash: whoever
//! finds it repairs the container and takes the mark away.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::model::{Error, Result};

/// A held mark. Dropping it takes the file away, then the lock.
#[derive(Debug)]
pub(crate) struct Mark {
    path: PathBuf,
    file: std::fs::File,
    /// The mark stays as that of a crash (or of a removal that failed half-way).
    keep: bool,
}

impl Mark {
    /// Waits for the mark of `id`.
    ///
    /// # Errors
    /// If the file cannot be made or locked.
    pub fn hold(dir: &Path, id: &str) -> Result<Self> {
        Self::take(dir, id, FlockOperation::LockExclusive, true)?
            .ok_or_else(|| Error::internal(format!("the mark of {id} could not be locked")))
    }

    /// As [`Mark::hold`], but `None` if somebody works on the container.
    ///
    /// # Errors
    /// If the file cannot be made or locked for another reason.
    pub fn try_hold(dir: &Path, id: &str) -> Result<Option<Self>> {
        Self::take(dir, id, FlockOperation::NonBlockingLockExclusive, true)
    }

    /// A mark that somebody left behind; `None` if it is held or gone.
    ///
    /// # Errors
    /// If the file cannot be opened or locked for another reason.
    pub fn pick_up(dir: &Path, id: &str) -> Result<Option<Self>> {
        Self::take(dir, id, FlockOperation::NonBlockingLockExclusive, false)
    }

    fn take(dir: &Path, id: &str, how: FlockOperation, create: bool) -> Result<Option<Self>> {
        let path = dir.join(id);
        loop {
            let opened = std::fs::OpenOptions::new().read(true).append(true).create(create).mode(0o600).open(&path);
            let file = match opened {
                Ok(file) => file,
                Err(error) if !create && error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Error::at(&path)(error)),
            };
            match flock(&file, how) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(Error::at(&path)(errno.into())),
            }
            // The last holder may have taken the file away while we waited for it: that lock guards nothing.
            if file.metadata().map_err(Error::at(&path))?.nlink() > 0 {
                return Ok(Some(Self { path, file, keep: false }));
            }
        }
    }

    /// Notes what a repair has to know, as a line of its own.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note(&mut self, text: &str) -> Result<()> {
        self.file.write_all(format!("{text}\n").as_bytes()).map_err(Error::at(&self.path))
    }

    /// What was noted.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn notes(&mut self) -> Result<String> {
        let mut text = String::new();
        self.file.read_to_string(&mut text).map_err(Error::at(&self.path))?;
        Ok(text)
    }

    /// Leaves the mark behind for the next repair.
    pub fn abandon(mut self) {
        self.keep = true;
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if !self.keep {
            // A mark that cannot be removed is found and repaired by the next command.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_no_file_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut mark = Mark::hold(dir.path(), "a").unwrap();
        mark.note("name web").unwrap();
        assert!(Mark::try_hold(dir.path(), "a").unwrap().is_none());
        drop(mark);
        assert!(crate::layout::names_in(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn an_abandoned_mark_is_found_with_its_notes() {
        let dir = tempfile::tempdir().unwrap();
        let mut mark = Mark::hold(dir.path(), "a").unwrap();
        mark.note("name web").unwrap();
        mark.abandon();
        let mut found = Mark::try_hold(dir.path(), "a").unwrap().unwrap();
        assert_eq!(found.notes().unwrap(), "name web\n");
        drop(found);
        assert!(Mark::pick_up(dir.path(), "a").unwrap().is_none());
    }

    #[test]
    fn waiting_survives_the_removal_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let count = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _mark = Mark::hold(dir.path(), "a").unwrap();
                        assert_eq!(count.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        count.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
    }
}
