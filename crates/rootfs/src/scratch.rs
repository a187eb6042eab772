//! Unfinished things: made in `tmp/` beside their final place, renamed into it when complete, removed otherwise, also
//! when the process that made them was killed: each holds a lock, and a thing whose lock nobody holds is swept away.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bulkhead_sys::lock::Lock;
use bulkhead_sys::{SysError, tree};
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use crate::model::Error;
use crate::place::{self, Place};

const FOLDER: &str = ".tmp";

/// A name in `<root>/<kind>/.tmp` under which one file or directory is being made. Dropping it removes that.
#[derive(Debug)]
pub struct Scratch {
    parent: OwnedFd,
    folder: OwnedFd,
    name: String,
    lock: Option<Lock>,
}

impl Scratch {
    /// Sweeps up after the dead, then reserves a name.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(place: &Place, kind: &str) -> Result<Self, Error> {
        let parent = place.dir(kind)?;
        let folder = place::subdirectory(parent.as_fd(), FOLDER)?;
        sweep(folder.as_fd())?;
        loop {
            let random = bulkhead_sys::random::bytes32()?;
            let name: String = random.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            let lock_name = format!("{name}.lock");
            let Some(lock) = Lock::try_exclusive(folder.as_fd(), &lock_name)? else { continue };
            // A sweeper may have been between our opening and our locking, and removed the lock's name.
            if rustix::fs::accessat(&folder, lock_name.as_str(), rustix::fs::Access::EXISTS, AtFlags::empty()).is_ok() {
                return Ok(Self { parent, folder, name, lock: Some(lock) });
            }
        }
    }

    /// The directory that [`Scratch::name`] is in.
    #[must_use]
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Where to make the thing: a name that nothing has yet.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Renames the finished thing to `<root>/<kind>/<final_name>`. If something is there already (another process was
    /// quicker), that stays and this one is removed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn commit(self, final_name: &str) -> Result<(), Error> {
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&self.folder, self.name.as_str(), &self.parent, final_name, flags) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(SysError::new("renameat2", final_name, errno).into()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is swept later, once the lock is free.
        if tree::remove(self.folder.as_fd(), self.name.as_bytes()).is_ok() {
            let lock_name = format!("{}.lock", self.name);
            rustix::fs::unlinkat(&self.folder, lock_name, AtFlags::empty()).ok();
        }
        drop(self.lock.take());
    }
}

/// Removes the unfinished things of `<root>/<kind>` whose makers are dead.
///
/// # Errors
/// The kernel's.
pub fn sweep_kind(place: &Place, kind: &str) -> Result<(), Error> {
    let parent = place.dir(kind)?;
    match place::existing(parent.as_fd(), FOLDER)? {
        Some(folder) => sweep(folder.as_fd()),
        None => Ok(()),
    }
}

fn sweep(folder: BorrowedFd<'_>) -> Result<(), Error> {
    let names = place::names(folder)?;
    for name in &names {
        let thing = name.strip_suffix(".lock").unwrap_or(name);
        let lock_name = format!("{thing}.lock");
        let Some(lock) = Lock::try_exclusive(folder, &lock_name)? else { continue };
        tree::remove(folder, thing.as_bytes())?;
        tree::remove(folder, lock_name.as_bytes())?;
        drop(lock);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn unfinished_things_vanish_with_their_maker_and_finished_ones_stay() {
        let site = testing::site();
        let place = site.place();
        let scratch = Scratch::new(&place, "things").unwrap();
        rustix::fs::mkdirat(scratch.folder(), scratch.name(), rustix::fs::Mode::RWXU).unwrap();
        Scratch::new(&place, "things").unwrap();
        scratch.commit("done").unwrap();
        assert_eq!(place::names(place.dir("things").unwrap().as_fd()).unwrap(), ["done"]);
        let folder = site.root().join("things/.tmp");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        // As a killed process leaves it: a lock file that nobody holds.
        std::fs::write(folder.join("dead.lock"), "").unwrap();
        std::fs::create_dir_all(folder.join("dead/tree")).unwrap();
        sweep_kind(&place, "things").unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    }
}
