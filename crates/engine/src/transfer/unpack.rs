//! A tar below a directory of this process's world. No link in the archive or in the way is ever followed.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use bulkhead_archive::Limits;
use bulkhead_archive::tar::{Entry, Kind, Reader};
use bulkhead_types::ErrorClass;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::{Error, Result};

/// How an archive is unpacked.
#[derive(Clone, Debug, Default)]
pub struct UnpackOptions {
    /// Keep owners (`-a`); otherwise everything belongs to who unpacks.
    pub owners: bool,
    /// This is the host and the archive comes from a container: no devices, no setuid or setgid bits, no file
    /// capabilities, whoever unpacks.
    pub host: bool,
    /// What entries begin with, and what they shall begin with instead (either may be empty).
    pub rename: Option<(String, String)>,
}

/// Unpacks below `dir`, which exists. A directory is never replaced by something else, nor something else by a
/// directory.
///
/// # Errors
/// If the archive is refused, or the kernel refuses; what was unpacked before stays.
pub fn unpack(dir: &Path, options: &UnpackOptions, tar: &mut dyn Read) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(dir, flags, Mode::empty()).map_err(|errno| super::failed("open", dir, errno))?;
    let mut reader = Reader::new(tar, Limits::default());
    let mut unpacker = Unpacker { root, options, times: Vec::new() };
    while let Some(mut entry) = reader.next_entry().map_err(refused)? {
        entry.path = unpacker.renamed(&entry.path)?;
        if let Kind::Hardlink { target } = &mut entry.kind {
            *target = unpacker.renamed(target)?;
        }
        unpacker.entry(&entry, reader.content())?;
    }
    reader.finish().map_err(refused)?;
    unpacker.finish()
}

fn refused(error: bulkhead_archive::tar::Error) -> Error {
    let class = match &error {
        bulkhead_archive::tar::Error::Refused { .. } => ErrorClass::Invalid,
        bulkhead_archive::tar::Error::Io(_) => ErrorClass::Unavailable,
    };
    Error::new(class, error.to_string())
}

struct Unpacker<'o> {
    root: OwnedFd,
    options: &'o UnpackOptions,
    /// Directories get their times last: what is put into them changes them.
    times: Vec<(OwnedFd, Timestamps)>,
}

/// Most directories that are kept open for their times.
const MOST_OPEN: usize = 256;

impl Unpacker<'_> {
    fn renamed(&self, path: &[u8]) -> Result<Vec<u8>> {
        let Some((from, to)) = &self.options.rename else { return Ok(path.to_vec()) };
        let rest = if from.is_empty() {
            Some(path)
        } else {
            path.strip_prefix(from.as_bytes()).and_then(|rest| match rest {
                [] => Some(rest),
                [b'/', rest @ ..] => Some(rest),
                _ => None,
            })
        };
        let rest = rest.ok_or_else(|| {
            Error::new(
                ErrorClass::Invalid,
                format!("the archive names {:?} outside of {from:?}", String::from_utf8_lossy(path)),
            )
        })?;
        Ok(match (to.is_empty(), rest.is_empty()) {
            (true, _) => rest.to_vec(),
            (false, true) => to.as_bytes().to_vec(),
            (false, false) => [to.as_bytes(), b"/", rest].concat(),
        })
    }

    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        let fail = |errno: Errno| failed(&entry.path, errno);
        if entry.path.is_empty() {
            return match entry.kind {
                Kind::Directory => Ok(()),
                _ => Err(Error::new(ErrorClass::Invalid, "the archive's root is no directory")),
            };
        }
        let (parent, name) = match entry.path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (entry.path.get(..at).unwrap_or_default(), entry.path.get(at + 1..).unwrap_or_default()),
            None => (&b""[..], entry.path.as_slice()),
        };
        let parent = self.parent(parent)?;
        let parent = parent.as_fd();
        match &entry.kind {
            Kind::Directory => return self.directory(parent, name, entry),
            Kind::File { .. } => return self.file(parent, name, entry, content),
            Kind::Symlink { target } => {
                clear(parent, name).map_err(fail)?;
                rustix::fs::symlinkat(target.as_slice(), parent, name).map_err(fail)?;
            }
            Kind::Hardlink { target } => {
                clear(parent, name).map_err(fail)?;
                let source = self.open_below(target, OFlags::PATH | OFlags::NOFOLLOW).map_err(fail)?;
                rustix::fs::linkat(source, "", parent, name, AtFlags::EMPTY_PATH)
                    .or_else(|_| self.link_by_name(target, parent, name))
                    .map_err(fail)?;
                return Ok(());
            }
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo => {
                clear(parent, name).map_err(fail)?;
                self.node(parent, name, entry)?;
            }
        }
        self.owner_at(parent, name, entry).map_err(fail)?;
        rustix::fs::utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW).map_err(fail)
    }

    /// Links an earlier entry where `AT_EMPTY_PATH` wants a capability of the host.
    fn link_by_name(&self, target: &[u8], parent: BorrowedFd<'_>, name: &[u8]) -> std::result::Result<(), Errno> {
        let (from, last) = match target.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..).unwrap_or_default()),
            None => (&b"."[..], target),
        };
        let from = self.open_below(from, OFlags::PATH | OFlags::DIRECTORY)?;
        rustix::fs::linkat(from, last, parent, name, AtFlags::empty())
    }

    fn open_below(&self, path: &[u8], flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let path = if path.is_empty() { b"." } else { path };
        rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// The directory an entry goes into; missing ones are made.
    fn parent(&self, path: &[u8]) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.open_below(path, flags) {
            Err(Errno::NOENT) => {}
            other => return other.map_err(|errno| failed(path, errno)),
        }
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let part = path.get(..end).unwrap_or_default();
            let start = part.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
            let above = self.open_below(part.get(..start.saturating_sub(1)).unwrap_or_default(), flags);
            let above = above.map_err(|errno| failed(part, errno))?;
            match rustix::fs::mkdirat(above, part.get(start..).unwrap_or_default(), Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed(part, errno)),
            }
        }
        self.open_below(path, flags).map_err(|errno| failed(path, errno))
    }

    fn directory(&mut self, parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<()> {
        let fail = |errno: Errno| failed(&entry.path, errno);
        match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(fail)?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                    return Err(clash(&entry.path, "cannot overwrite non-directory with directory"));
                }
            }
            Err(errno) => return Err(fail(errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(fail)?;
        self.attributes(dir.as_fd(), entry).map_err(fail)?;
        if self.times.len() >= MOST_OPEN {
            self.set_times()?;
        }
        self.times.push((dir, times(entry)));
        Ok(())
    }

    fn file(&self, parent: BorrowedFd<'_>, name: &[u8], entry: &Entry, content: &mut dyn Read) -> Result<()> {
        let fail = |errno: Errno| failed(&entry.path, errno);
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fd = match clear(parent, name) {
            Ok(()) => {
                let new = flags | OFlags::CREATE | OFlags::EXCL;
                rustix::fs::openat(parent, name, new, Mode::RUSR | Mode::WUSR).map_err(fail)?
            }
            // A mount point (`/etc/hosts`) cannot be replaced, only written.
            Err(Errno::BUSY) => rustix::fs::openat(parent, name, flags | OFlags::TRUNC, Mode::empty()).map_err(fail)?,
            Err(Errno::ISDIR) => return Err(clash(&entry.path, "cannot overwrite directory with non-directory")),
            Err(errno) => return Err(fail(errno)),
        };
        let mut file = File::from(fd);
        io::copy(content, &mut file).map_err(|error| {
            Error::new(ErrorClass::Internal, format!("cannot write {}: {error}", String::from_utf8_lossy(&entry.path)))
        })?;
        self.attributes(file.as_fd(), entry).map_err(fail)?;
        rustix::fs::futimens(&file, &times(entry)).map_err(fail)
    }

    fn node(&self, parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<()> {
        let fail = |errno: Errno| failed(&entry.path, errno);
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        let (kind, major, minor) = match entry.kind {
            Kind::CharDevice { major, minor } => (FileType::CharacterDevice, major, minor),
            Kind::BlockDevice { major, minor } => (FileType::BlockDevice, major, minor),
            _ => (FileType::Fifo, 0, 0),
        };
        if self.options.host && kind != FileType::Fifo {
            let name = String::from_utf8_lossy(&entry.path);
            return Err(Error::new(
                ErrorClass::Denied,
                format!("{name} is a device node: devices are not copied out of a container"),
            ));
        }
        rustix::fs::mknodat(parent, name, kind, mode, rustix::fs::makedev(major, minor)).map_err(fail)?;
        rustix::fs::chmodat(parent, name, mode, AtFlags::empty()).map_err(fail)
    }

    fn owner_at(&self, parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> std::result::Result<(), Errno> {
        if !self.options.owners {
            return Ok(());
        }
        let (uid, gid) = owner(entry)?;
        rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Owner first: changing it clears setuid bits and file capabilities.
    fn attributes(&self, fd: BorrowedFd<'_>, entry: &Entry) -> std::result::Result<(), Errno> {
        if self.options.owners {
            let (uid, gid) = owner(entry)?;
            rustix::fs::fchown(fd, Some(uid), Some(gid))?;
        }
        let bits = if self.options.host { 0o1777 } else { 0o7777 };
        rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode & bits))?;
        for (name, value) in &entry.xattrs {
            let wanted =
                name.starts_with(b"user.") || (!self.options.host && name.as_slice() == b"security.capability");
            if !wanted {
                continue;
            }
            match rustix::fs::fsetxattr(fd, name.as_slice(), value, rustix::fs::XattrFlags::empty()) {
                // A file system that has none of this kind cannot take them; the content is what counts.
                Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn set_times(&mut self) -> Result<()> {
        // The innermost first: nothing below changes a directory's own times.
        for (dir, times) in self.times.drain(..).rev() {
            rustix::fs::futimens(dir, &times).map_err(|errno| failed(b"a directory", errno))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.set_times()
    }
}

fn owner(entry: &Entry) -> std::result::Result<(rustix::fs::Uid, rustix::fs::Gid), Errno> {
    // -1 means "leave" to the kernel; as an owner it is nobody's.
    if entry.uid == u32::MAX || entry.gid == u32::MAX {
        return Err(Errno::INVAL);
    }
    Ok((rustix::fs::Uid::from_raw(entry.uid), rustix::fs::Gid::from_raw(entry.gid)))
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime, tv_nsec: i64::from(entry.mtime_nsec) };
    Timestamps { last_access: time, last_modification: time }
}

/// Removes what has this name, if it is no directory.
fn clear(parent: BorrowedFd<'_>, name: &[u8]) -> std::result::Result<(), Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn clash(path: &[u8], text: &str) -> Error {
    Error::new(ErrorClass::Conflict, format!("{text} {:?}", String::from_utf8_lossy(path)))
}

fn failed(path: &[u8], errno: Errno) -> Error {
    let name = String::from_utf8_lossy(path).into_owned();
    match errno {
        Errno::LOOP => clash(path, "a link is in the way of"),
        Errno::ISDIR => clash(path, "cannot overwrite directory with non-directory"),
        Errno::NOTDIR => clash(path, "something that is no directory is in the way of"),
        errno => super::failed("write", Path::new(&name), errno),
    }
}
