//! Content-addressed files: `blobs/ALGORITHM/HEX`, and `partial/` for what is still on its way.
//!
//! A name below `blobs/` appears by rename of a verified file, so what is there is whole. A file in `partial/` is
//! locked (`flock`) by the process that works on it; found unlocked, it was left by a crash.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use bulkhead_archive::hash::Hasher;
use bulkhead_types::{Algorithm, Digest, ErrorClass};
use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};

use crate::model::Error;

const PARTIAL: &str = "partial";
const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];
/// Spools (archives being loaded) cannot be resumed; these are their names' beginning.
const SPOOL: &str = "spool-";

/// The directory `<root>/images`.
#[derive(Debug)]
pub(crate) struct Blobs {
    dir: OwnedFd,
}

impl Blobs {
    /// Opens it, creating it and its parents (0700) at first use.
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        let path = root.join("images");
        let open = || rustix::fs::open(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let dir = match open() {
            Err(rustix::io::Errno::NOENT) => {
                use std::os::unix::fs::DirBuilderExt as _;
                std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(&path)
                    .map_err(|cause| Error::io(format_args!("creating {}", path.display()), &cause))?;
                open()
            }
            other => other,
        }
        .map_err(|errno| Error::io(format_args!("opening {}", path.display()), &errno.into()))?;
        Ok(Self { dir })
    }

    /// The directory.
    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    fn place(digest: &Digest) -> String {
        format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
    }

    /// Opens a blob for reading; `None` if it is not here.
    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<Option<File>, Error> {
        match rustix::fs::openat(&self.dir, Self::place(digest), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => Ok(Some(File::from(fd))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::io(format_args!("opening the blob {digest}"), &errno.into())),
        }
    }

    /// Bytes of a blob; `None` if it is not here.
    pub(crate) fn size_of(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        match rustix::fs::statat(&self.dir, Self::place(digest), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(u64::try_from(stat.st_size).unwrap_or(0))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::io(format_args!("looking at the blob {digest}"), &errno.into())),
        }
    }

    /// Reads a small document and checks that it still hashes to its name (a few microseconds).
    pub(crate) fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.open_blob(digest)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|cause| Error::io(format_args!("reading the blob {digest}"), &cause))?;
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        if bytes.len() as u64 > limit || hasher.finish() != *digest {
            return Err(Error::new(
                ErrorClass::Internal,
                format!(
                    "the image store is damaged: blob {digest} has other content; remove the image and pull it again"
                ),
            ));
        }
        Ok(Some(bytes))
    }

    /// Stores a small document under its SHA-256.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let digest = Hasher::sha256(bytes);
        self.put_as(bytes, &digest)?;
        Ok(digest)
    }

    /// Stores a small document under a digest that the caller has verified. A damaged one is replaced.
    pub(crate) fn put_as(&self, bytes: &[u8], digest: &Digest) -> Result<(), Error> {
        if self.read(digest, bytes.len() as u64).is_ok_and(|stored| stored.is_some()) {
            return Ok(());
        }
        let mut spool = self.spool()?;
        spool.file.write_all(bytes).map_err(|cause| Error::io(format_args!("storing {digest}"), &cause))?;
        spool.keep(digest)
    }

    /// Removes a blob; returns the bytes freed.
    pub(crate) fn remove(&self, digest: &Digest) -> Result<u64, Error> {
        let Some(size) = self.size_of(digest)? else { return Ok(0) };
        rustix::fs::unlinkat(&self.dir, Self::place(digest), AtFlags::empty())
            .map_err(|errno| Error::io(format_args!("removing the blob {digest}"), &errno.into()))?;
        Ok(size)
    }

    /// All blobs with their sizes.
    pub(crate) fn list(&self) -> Result<Vec<(Digest, u64)>, Error> {
        let mut found = Vec::new();
        for algorithm in ALGORITHMS {
            for name in self.names(&format!("blobs/{}", algorithm.as_str()))? {
                let Ok(digest) = format!("{}:{name}", algorithm.as_str()).parse::<Digest>() else { continue };
                if let Some(size) = self.size_of(&digest)? {
                    found.push((digest, size));
                }
            }
        }
        Ok(found)
    }

    fn names(&self, path: &str) -> Result<Vec<String>, Error> {
        let fail = |errno: rustix::io::Errno| Error::io(format_args!("listing {path}"), &errno.into());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = match rustix::fs::openat(&self.dir, path, flags, Mode::empty()) {
            Ok(dir) => dir,
            Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
            Err(errno) => return Err(fail(errno)),
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(&dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    fn ensure(&self, path: &str) -> Result<(), Error> {
        match rustix::fs::mkdirat(&self.dir, path, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(errno) => Err(Error::io(format_args!("creating {path}"), &errno.into())),
        }
    }

    /// The partial file of a blob, locked; waits while another process fetches the same blob. `None` if the blob
    /// turns out to be here.
    pub(crate) fn partial(&self, digest: &Digest) -> Result<Option<Partial<'_>>, Error> {
        self.ensure(PARTIAL)?;
        let name = format!("{PARTIAL}/{}-{}", digest.algorithm().as_str(), digest.hex());
        loop {
            if self.size_of(digest)?.is_some() {
                return Ok(None);
            }
            // The holder of the lock may have renamed or removed the file meanwhile: then it is not ours.
            if let Some(file) = self.lock_file(&name, true)? {
                return Ok(Some(Partial { blobs: self, file, name }));
            }
        }
    }

    /// A fresh locked file for content whose digest is not known yet.
    pub(crate) fn spool(&self) -> Result<Partial<'_>, Error> {
        self.ensure(PARTIAL)?;
        loop {
            let random =
                bulkhead_sys::random::bytes32().map_err(|cause| Error::new(ErrorClass::Internal, cause.to_string()))?;
            let tag: String = random[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            let name = format!("{PARTIAL}/{SPOOL}{tag}");
            if let Some(file) = self.lock_file(&name, true)? {
                return Ok(Partial { blobs: self, file, name });
            }
        }
    }

    /// Opens (creating) and locks a file; `None` if its name no longer leads to it, or if somebody holds the lock.
    fn lock_file(&self, name: &str, wait: bool) -> Result<Option<File>, Error> {
        let fail = |errno: rustix::io::Errno| Error::io(format_args!("opening {name}"), &errno.into());
        let flags = OFlags::RDWR | OFlags::CLOEXEC | if wait { OFlags::CREATE } else { OFlags::empty() };
        let file = match rustix::fs::openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => File::from(fd),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(fail(errno)),
        };
        let how = if wait { FlockOperation::LockExclusive } else { FlockOperation::NonBlockingLockExclusive };
        match rustix::fs::flock(&file, how) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(fail(errno)),
        }
        let ours = rustix::fs::fstat(&file).map_err(fail)?;
        match rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) if there.st_ino == ours.st_ino => Ok(Some(file)),
            Ok(_) | Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(fail(errno)),
        }
    }

    /// Removes what crashed transfers left: spools always, resumable parts only if `resumable` is set. Returns the
    /// bytes freed.
    pub(crate) fn sweep(&self, resumable: bool) -> Result<u64, Error> {
        let mut freed = 0;
        for name in self.names(PARTIAL)? {
            if !resumable && !name.starts_with(SPOOL) {
                continue;
            }
            let path = format!("{PARTIAL}/{name}");
            if let Some(file) = self.lock_file(&path, false)? {
                freed += file.metadata().map(|data| data.len()).unwrap_or(0);
                drop(Partial { blobs: self, file, name: path }.forget());
            }
        }
        Ok(freed)
    }

    /// Locks a named file beside the blobs, waiting; `None` if `wait` is false and somebody holds it.
    pub(crate) fn lock(&self, name: &str, how: Hold, wait: bool) -> Result<Option<OwnedFd>, Error> {
        let fail =
            |errno: rustix::io::Errno| Error::io(format_args!("locking the image store ({name})"), &errno.into());
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR).map_err(fail)?;
        let operation = match (how, wait) {
            (Hold::Shared, true) => FlockOperation::LockShared,
            (Hold::Shared, false) => FlockOperation::NonBlockingLockShared,
            (Hold::Alone, true) => FlockOperation::LockExclusive,
            (Hold::Alone, false) => FlockOperation::NonBlockingLockExclusive,
        };
        match rustix::fs::flock(&file, operation) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(fail(errno)),
        }
    }
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Together with others who do the same.
    Shared,
    /// By nobody else.
    Alone,
}

/// A locked file in `partial/`. Dropped, a spool is removed and a blob's part stays, to be resumed.
#[derive(Debug)]
pub(crate) struct Partial<'a> {
    blobs: &'a Blobs,
    /// Opened for reading and writing.
    pub(crate) file: File,
    name: String,
}

impl Partial<'_> {
    /// Bytes so far.
    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Makes it the blob `digest`, which the caller has verified. The content reaches the disk before the name does.
    pub(crate) fn keep(mut self, digest: &Digest) -> Result<(), Error> {
        let fail = |cause: &io::Error| Error::io(format_args!("storing {digest}"), cause);
        self.file.sync_data().map_err(|cause| fail(&cause))?;
        self.blobs.ensure("blobs")?;
        self.blobs.ensure(&format!("blobs/{}", digest.algorithm().as_str()))?;
        rustix::fs::renameat(&self.blobs.dir, &self.name, &self.blobs.dir, Blobs::place(digest))
            .map_err(|errno| fail(&errno.into()))?;
        self.name.clear();
        Ok(())
    }

    /// Removes it for good.
    pub(crate) fn forget(mut self) -> Result<(), Error> {
        self.unlink()
    }

    fn unlink(&mut self) -> Result<(), Error> {
        let name = std::mem::take(&mut self.name);
        match rustix::fs::unlinkat(&self.blobs.dir, &name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::io(format_args!("removing {name}"), &errno.into())),
        }
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        let spool = self.name.strip_prefix(PARTIAL).is_some_and(|rest| rest.starts_with(&format!("/{SPOOL}")));
        let empty = !self.name.is_empty() && self.len().is_ok_and(|len| len == 0);
        if spool || empty {
            // A leftover is harmless: the next sweep finds it unlocked.
            drop(self.unlink());
        }
    }
}
