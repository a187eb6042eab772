//! Rooted path lookup (`openat2(2)` with `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS`): a path from outside cannot leave.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::{Result, SysError};

/// How many links one path may pass through, as in the kernel.
const MAX_LINKS: u32 = 40;

/// A directory below which every lookup stays, whatever links the tree holds.
#[derive(Debug)]
pub struct Root(OwnedFd);

/// What a written file must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The death of any process.
    Process,
    /// A power cut.
    Power,
}

impl Root {
    /// Takes over a directory descriptor (`O_PATH` is enough).
    #[must_use]
    pub const fn new(dir: OwnedFd) -> Self {
        Self(dir)
    }

    /// Opens a directory of the host by a trusted path.
    ///
    /// # Errors
    /// If it is no directory or cannot be opened.
    pub fn open_trusted(path: &std::path::Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty())
            .map(Self)
            .map_err(|errno| SysError::new("open", path.display().to_string(), errno))
    }

    /// The descriptor.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Opens a path inside with these flags (`O_CLOEXEC` is added); links are followed inside the root only.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(&self, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        open_in(self.fd(), path, flags, mode)
    }

    /// Reads a whole file of at most `limit` bytes.
    ///
    /// # Errors
    /// The kernel's, `EFBIG` for a larger one, or `EINVAL` if it is no regular file.
    pub fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>> {
        // A pipe in the file's place must not block us.
        let file = self.open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?;
        let error = |errno| SysError::new("read", path, errno);
        let stat = rustix::fs::fstat(&file).map_err(error)?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
            return Err(error(Errno::INVAL));
        }
        let mut contents = Vec::new();
        let mut buffer = [0u8; 16 * 1024];
        loop {
            match rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut buffer)).map_err(error)? {
                0 => return Ok(contents),
                count if contents.len() + count > limit => return Err(error(Errno::FBIG)),
                count => contents.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Makes a directory and its missing parents (mode 0755, owner: the caller), one component at a time inside the
    /// root; returns the last one opened `O_PATH`. A link to something missing is followed inside and what it names
    /// is made.
    ///
    /// # Errors
    /// The kernel's; `ENOTDIR` if something else is in the way.
    pub fn create_dir_all(&self, path: &str) -> Result<OwnedFd> {
        match self.open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
            Ok(dir) => Ok(dir),
            Err(error) if error.raw() == libc::ENOENT => Creation::new(self, path)?.directory(),
            Err(error) => Err(error),
        }
    }

    /// Makes an empty file (mode 0644) and its missing parents as [`Root::create_dir_all`] does; an existing one, of
    /// whatever kind but a directory, is left as it is. Returns it opened `O_PATH`.
    ///
    /// # Errors
    /// The kernel's; `EISDIR` if there is a directory.
    pub fn create_file(&self, path: &str) -> Result<OwnedFd> {
        let file = match self.open(path, OFlags::PATH, Mode::empty()) {
            Err(error) if error.raw() == libc::ENOENT => Creation::new(self, path)?.file(),
            other => other,
        }?;
        let stat = rustix::fs::fstat(&file).map_err(|errno| SysError::new("fstat", path, errno))?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory {
            return Err(SysError::new("create", path, Errno::ISDIR));
        }
        Ok(file)
    }

    /// Writes a file durably enough to survive `kill -9`: temporary name, write, optional `fdatasync`, rename.
    /// `name` is one component. Mode 0600.
    ///
    /// # Errors
    /// The kernel's; on failure the temporary file is removed.
    pub fn replace(&self, name: &str, contents: &[u8], durable: Durability) -> Result<()> {
        self.replace_with_mode(name, contents, durable, Mode::RUSR | Mode::WUSR)
    }

    /// As [`Root::replace`] with other permission bits.
    ///
    /// # Errors
    /// As [`Root::replace`].
    pub fn replace_with_mode(&self, name: &str, contents: &[u8], durable: Durability, mode: Mode) -> Result<()> {
        if name.is_empty() || name == "." || name == ".." || name.contains('/') {
            return Err(SysError::new("replace", name, Errno::INVAL));
        }
        let temporary = format!(".{name}.{:016x}", random_number()?);
        let written = self
            .write_new(&temporary, contents, durable, mode)
            .and_then(|()| {
                rustix::fs::renameat(&self.0, temporary.as_str(), &self.0, name)
                    .map_err(|errno| SysError::new("renameat", name, errno))
            })
            .and_then(|()| if durable == Durability::Power { self.sync_directory(name) } else { Ok(()) });
        if written.is_err() {
            // The first error is the one to tell; the temporary file may be gone by the rename already.
            rustix::fs::unlinkat(&self.0, temporary.as_str(), rustix::fs::AtFlags::empty()).ok();
        }
        written
    }

    /// Writes a file that does not exist yet, without a temporary name: for what only its writer's successors read.
    ///
    /// # Errors
    /// `EEXIST`, or the kernel's; a part may be written then.
    pub fn write_new(&self, name: &str, contents: &[u8], durable: Durability, mode: Mode) -> Result<()> {
        let error = |call, errno| SysError::new(call, name, errno);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, name, flags, mode).map_err(|errno| error("openat", errno))?;
        let mut rest = contents;
        while !rest.is_empty() {
            let count =
                rustix::io::retry_on_intr(|| rustix::io::write(&file, rest)).map_err(|errno| error("write", errno))?;
            rest = &rest[count..];
        }
        if durable == Durability::Power {
            rustix::fs::fdatasync(&file).map_err(|errno| error("fdatasync", errno))?;
        }
        Ok(())
    }

    fn sync_directory(&self, name: &str) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&self.0, ".", flags, Mode::empty())
            .map_err(|errno| SysError::new("openat", name, errno))?;
        rustix::fs::fsync(&dir).map_err(|errno| SysError::new("fsync", name, errno))
    }
}

fn random_number() -> Result<u64> {
    let mut bytes = [0u8; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| SysError::new("getrandom", "", errno))?;
    Ok(u64::from_ne_bytes(bytes))
}

fn open_in(root: BorrowedFd<'_>, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let path = if path.is_empty() { "." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // The kernel answers EAGAIN when a rename elsewhere raced with a ".." of the path; it asks to be called again.
    for _ in 0..128 {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(file) => return Ok(file),
            Err(errno) => return Err(SysError::new("openat2", path, errno)),
        }
    }
    Err(SysError::new("openat2", path, Errno::AGAIN))
}

/// A walk that makes what is missing. Every step is one component, opened without following a link, so it cannot leave
/// the root; links are read and their text is put in front of what is left to walk.
struct Creation<'a> {
    path: &'a str,
    /// The directories walked through, the root first; never empty.
    trail: Vec<OwnedFd>,
    left: VecDeque<Vec<u8>>,
    links: u32,
}

enum Found {
    Directory,
    Missing(Vec<u8>),
    Other(OwnedFd),
}

impl<'a> Creation<'a> {
    fn new(root: &Root, path: &'a str) -> Result<Self> {
        let top = root.0.try_clone().map_err(|error| SysError::new("dup", path, error))?;
        let left = path.as_bytes().split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
        Ok(Self { path, trail: vec![top], left, links: 0 })
    }

    fn directory(mut self) -> Result<OwnedFd> {
        loop {
            match self.step()? {
                None => return self.trail.pop().ok_or_else(|| self.error("openat", Errno::NOENT)),
                Some(Found::Directory) => {}
                Some(Found::Missing(name)) => self.make_directory(&name)?,
                Some(Found::Other(_)) => return Err(self.error("mkdirat", Errno::NOTDIR)),
            }
        }
    }

    fn file(mut self) -> Result<OwnedFd> {
        loop {
            match self.step()? {
                None => return Err(self.error("openat", Errno::ISDIR)),
                Some(Found::Directory) => {}
                Some(Found::Missing(name)) if self.is_last() => return self.make_file(&name),
                Some(Found::Missing(name)) => self.make_directory(&name)?,
                Some(Found::Other(file)) if self.is_last() => return Ok(file),
                Some(Found::Other(_)) => return Err(self.error("openat", Errno::NOTDIR)),
            }
        }
    }

    fn is_last(&self) -> bool {
        self.left.iter().all(|name| name.is_empty() || name == b".")
    }

    fn here(&self) -> Result<BorrowedFd<'_>> {
        self.trail.last().map(AsFd::as_fd).ok_or_else(|| self.error("openat", Errno::NOENT))
    }

    fn error(&self, call: &'static str, errno: Errno) -> SysError {
        SysError::new(call, self.path, errno)
    }

    /// Takes the next component. `None` at the end.
    fn step(&mut self) -> Result<Option<Found>> {
        let Some(name) = self.left.pop_front() else { return Ok(None) };
        if name.is_empty() || name == b"." {
            return Ok(Some(Found::Directory));
        }
        if name == b".." {
            if self.trail.len() > 1 {
                self.trail.pop();
            }
            return Ok(Some(Found::Directory));
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let object = match rustix::fs::openat(self.here()?, name.as_slice(), flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Some(Found::Missing(name))),
            other => other.map_err(|errno| self.error("openat", errno))?,
        };
        let stat = rustix::fs::fstat(&object).map_err(|errno| self.error("fstat", errno))?;
        match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
            rustix::fs::FileType::Directory => {
                self.trail.push(object);
                Ok(Some(Found::Directory))
            }
            rustix::fs::FileType::Symlink => self.follow(&object),
            _ => Ok(Some(Found::Other(object))),
        }
    }

    fn follow(&mut self, link: &OwnedFd) -> Result<Option<Found>> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(self.error("readlinkat", Errno::LOOP));
        }
        let target = rustix::fs::readlinkat(link, "", Vec::new()).map_err(|errno| self.error("readlinkat", errno))?;
        let target = target.to_bytes();
        if target.first() == Some(&b'/') {
            self.trail.truncate(1);
        }
        for part in target.split(|byte| *byte == b'/').rev() {
            self.left.push_front(part.to_vec());
        }
        Ok(Some(Found::Directory))
    }

    fn make_directory(&mut self, name: &[u8]) -> Result<()> {
        let mode = Mode::from_raw_mode(0o755);
        match rustix::fs::mkdirat(self.here()?, name, mode) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(self.error("mkdirat", errno)),
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(self.here()?, name, flags, Mode::empty())
            .map_err(|errno| self.error("openat", errno))?;
        self.trail.push(dir);
        Ok(())
    }

    fn make_file(&self, name: &[u8]) -> Result<OwnedFd> {
        let here = self.here()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(here, name, flags, Mode::from_raw_mode(0o644)) {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(self.error("openat", errno)),
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(here, name, flags, Mode::empty()).map_err(|errno| self.error("openat", errno))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn outside_and_root() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        std::fs::write(dir.path().join("secret"), "outside").unwrap();
        let root = Root::open_trusted(&dir.path().join("root")).unwrap();
        (dir, root)
    }

    #[test]
    fn links_stay_inside() {
        let (dir, root) = outside_and_root();
        let inside = dir.path().join("root");
        symlink("../secret", inside.join("up")).unwrap();
        symlink("/secret", inside.join("absolute")).unwrap();
        symlink("/proc/self/root", inside.join("magic")).unwrap();
        assert_eq!(root.read("up", 100).unwrap_err().raw(), libc::ENOENT);
        assert_eq!(root.read("absolute", 100).unwrap_err().raw(), libc::ENOENT);
        assert!(root.read("magic/etc/passwd", 1 << 20).is_err());
        std::fs::write(inside.join("secret"), "inside").unwrap();
        for path in ["up", "absolute", "/secret", "../../secret", "./secret"] {
            assert_eq!(root.read(path, 100).unwrap(), b"inside", "{path}");
        }
        assert_eq!(root.read("secret", 3).unwrap_err().raw(), libc::EFBIG);
    }

    #[test]
    fn directories_are_made_through_links_but_inside() {
        let (dir, root) = outside_and_root();
        let inside = dir.path().join("root");
        symlink("/made/by/link", inside.join("dangling")).unwrap();
        symlink("../../../escape", inside.join("up")).unwrap();
        root.create_dir_all("/dangling/x").unwrap();
        root.create_dir_all("up/y/../z").unwrap();
        assert!(inside.join("made/by/link/x").is_dir());
        assert!(inside.join("escape/z").is_dir());
        assert!(!dir.path().join("escape").exists());
        symlink("loop", inside.join("loop")).unwrap();
        assert_eq!(root.create_dir_all("loop/a").unwrap_err().raw(), libc::ELOOP);
        std::fs::write(inside.join("file"), "").unwrap();
        assert_eq!(root.create_dir_all("file/a").unwrap_err().raw(), libc::ENOTDIR);
    }

    #[test]
    fn files_are_made_and_existing_ones_kept() {
        let (dir, root) = outside_and_root();
        let inside = dir.path().join("root");
        root.create_file("/a/b/c").unwrap();
        assert_eq!(std::fs::read(inside.join("a/b/c")).unwrap(), b"");
        std::fs::write(inside.join("a/b/c"), "kept").unwrap();
        root.create_file("a/b/c").unwrap();
        assert_eq!(root.read("a/b/c", 10).unwrap(), b"kept");
        symlink("../../outside", inside.join("link")).unwrap();
        root.create_file("link").unwrap();
        assert!(inside.join("outside").is_file() && !dir.path().join("outside").exists());
        assert_eq!(root.create_file("a/b").unwrap_err().raw(), libc::EISDIR);
    }

    #[test]
    fn replace_is_whole_and_leaves_no_temporary_file() {
        let (dir, root) = outside_and_root();
        root.replace("state", b"one", Durability::Process).unwrap();
        root.replace("state", b"two", Durability::Power).unwrap();
        assert_eq!(root.read("state", 10).unwrap(), b"two");
        assert!(root.replace("../state", b"x", Durability::Process).is_err());
        std::fs::create_dir(dir.path().join("root/dir")).unwrap();
        assert!(root.replace("dir", b"x", Durability::Process).is_err());
        let mut names: Vec<_> =
            std::fs::read_dir(dir.path().join("root")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["dir", "state"]);
    }

    #[test]
    fn a_pipe_does_not_block_a_reader() {
        let (dir, root) = outside_and_root();
        let path = dir.path().join("root/pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(root.read("pipe", 10).unwrap_err().raw(), libc::EINVAL);
    }
}
