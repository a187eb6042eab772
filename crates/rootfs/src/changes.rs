//! What a container changed against its image, listed and as a layer.
//!
//! The upper directory of an overlay holds the changes: new and changed objects as they are, a deletion as a character
//! device 0:0 (a whiteout), a directory that replaces one below with an attribute (opaque). What it held before is
//! looked up in the merged layers, rooted and without following a link.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bulkhead_archive::tar::{Entry, Kind, Writer};
use bulkhead_sys::SysError;
use bulkhead_sys::tree::{self, Descend, Visit, Visitor};
use bulkhead_types::{Digest, ErrorClass};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::model::{Change, ChangeKind, Error};
use crate::place::{self, Place};
use crate::{attributes, overlay, uppers};

/// What a layer calls a deletion, and a directory that hides the one below (OCI image spec, `layer.md`).
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// As [`crate::Store::changes`].
///
/// # Errors
/// As [`crate::Store::changes`].
pub fn list(place: &Place, id: &str, layers: &[Digest]) -> Result<Vec<Change>, Error> {
    let upper = open_upper(place, id)?;
    let lower = Lower(overlay::mount_lower(place, layers)?);
    let mut listing = Listing { lower, owners: uppers::Owners::of(place, id)?, found: BTreeMap::new() };
    tree::walk(upper.as_fd(), &mut listing)?;
    let to_change =
        |(path, kind): (Vec<u8>, ChangeKind)| Change { kind, path: format!("/{}", String::from_utf8_lossy(&path)) };
    Ok(listing.found.into_iter().map(to_change).collect())
}

fn open_upper(place: &Place, id: &str) -> Result<OwnedFd, Error> {
    place::existing(uppers::open(place, id)?.as_fd(), "up")?
        .ok_or_else(|| Error::new(ErrorClass::NotFound, format!("the writable part of {id} is not complete")))
}

/// The merged layers.
struct Lower(OwnedFd);

impl Lower {
    /// Opens an object without following any link; `None` if there is none.
    fn open(&self, path: &[u8], flags: OFlags) -> Result<Option<OwnedFd>, Error> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat2(&self.0, path, flags, Mode::empty(), resolve) {
            Ok(object) => Ok(Some(object)),
            // A parent that is no directory, or a path longer than any in a layer: the image has no such object.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => Ok(None),
            Err(errno) => Err(SysError::new("openat2", String::from_utf8_lossy(path), errno).into()),
        }
    }

    fn stat(&self, path: &[u8]) -> Result<Option<Stat>, Error> {
        let Some(object) = self.open(path, OFlags::PATH)? else { return Ok(None) };
        let stat = rustix::fs::fstat(&object);
        Ok(Some(stat.map_err(|errno| SysError::new("fstat", String::from_utf8_lossy(path), errno))?))
    }

    fn names(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let Some(dir) = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)? else { return Ok(Vec::new()) };
        let error = |errno| SysError::new("getdents", String::from_utf8_lossy(path), errno);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(dir).map_err(error)? {
            let entry = entry.map_err(error)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        Ok(names)
    }
}

fn is_whiteout(visit: &Visit<'_>) -> bool {
    visit.kind() == FileType::CharacterDevice && visit.stat.st_rdev == 0
}

fn is_opaque(dir: BorrowedFd<'_>) -> Result<bool, Error> {
    for name in [b"trusted.overlay.opaque".as_slice(), b"user.overlay.opaque"] {
        if attributes::get(dir, name)?.as_deref() == Some(b"y") {
            return Ok(true);
        }
    }
    Ok(false)
}

struct Listing {
    lower: Lower,
    owners: uppers::Owners,
    found: BTreeMap<Vec<u8>, ChangeKind>,
}

impl Visitor for Listing {
    type Error = Error;

    fn visit(&mut self, visit: &Visit<'_>) -> Result<Descend, Error> {
        let below = self.lower.stat(visit.path)?;
        match (below, is_whiteout(visit)) {
            (Some(_), true) => self.note(visit.path, ChangeKind::Deleted),
            // Something that was made and deleted again.
            (None, true) => {}
            (None, false) => self.note(visit.path, ChangeKind::Added),
            (Some(below), false) => self.compare(visit, &below)?,
        }
        Ok(Descend::Yes)
    }
}

impl Listing {
    /// Notes a change, and for a new or deleted name that its directory changed.
    fn note(&mut self, path: &[u8], kind: ChangeKind) {
        self.found.insert(path.to_vec(), kind);
        if let (true, Some(end)) = (kind != ChangeKind::Changed, path.iter().rposition(|byte| *byte == b'/')) {
            self.found.entry(path[..end].to_vec()).or_insert(ChangeKind::Changed);
        }
    }

    fn compare(&mut self, visit: &Visit<'_>, below: &Stat) -> Result<(), Error> {
        let both_directories =
            visit.kind() == FileType::Directory && FileType::from_raw_mode(below.st_mode) == FileType::Directory;
        // A file is copied up only when it is about to change.
        if !both_directories || self.owners.differ(visit.stat, below) {
            self.note(visit.path, ChangeKind::Changed);
        }
        if both_directories {
            let dir = visit.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
            if is_opaque(dir.as_fd())? {
                self.deleted_by_replacement(visit.path, dir.as_fd())?;
            }
        }
        Ok(())
    }

    /// What the image has in a directory that was replaced as a whole.
    fn deleted_by_replacement(&mut self, path: &[u8], dir: BorrowedFd<'_>) -> Result<(), Error> {
        for name in self.lower.names(path)? {
            let kept = rustix::fs::statat(dir, name.as_slice(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok();
            if !kept {
                self.note(&[path, b"/", &name].concat(), ChangeKind::Deleted);
            }
        }
        Ok(())
    }
}

/// As [`crate::Store::write_changes`].
///
/// # Errors
/// As [`crate::Store::write_changes`].
pub fn write(place: &Place, id: &str, layers: &[Digest], out: &mut dyn Write) -> Result<(), Error> {
    let upper = open_upper(place, id)?;
    let lower = Lower(overlay::mount_lower(place, layers)?);
    let owners = uppers::Owners::of(place, id)?;
    let mut layer = Layer { writer: Writer::new(out), lower, owners, links: HashMap::new() };
    layer.root(upper.as_fd())?;
    tree::walk(upper.as_fd(), &mut layer)?;
    layer.writer.finish().map(drop).map_err(|error| unwritable(b"", &error))
}

struct Layer<'a> {
    writer: Writer<&'a mut dyn Write>,
    lower: Lower,
    owners: uppers::Owners,
    /// First path of a file with several names.
    links: HashMap<u64, Vec<u8>>,
}

impl Visitor for Layer<'_> {
    type Error = Error;

    fn visit(&mut self, visit: &Visit<'_>) -> Result<Descend, Error> {
        let name = visit.name.to_bytes();
        if name.starts_with(WHITEOUT) {
            return Err(Error::new(
                ErrorClass::Invalid,
                format!(
                    "/{} cannot be put into a layer: there, names that begin with .wh. stand for deletions; remove or \
                     rename it",
                    String::from_utf8_lossy(visit.path)
                ),
            ));
        }
        if is_whiteout(visit) {
            if self.lower.stat(visit.path)?.is_some() {
                let directory = &visit.path[..visit.path.len() - name.len()];
                self.mark(&[directory, WHITEOUT, name].concat())?;
            }
        } else if visit.kind() == FileType::Directory {
            self.directory(visit)?;
        } else {
            self.object(visit)?;
        }
        Ok(Descend::Yes)
    }
}

impl Layer<'_> {
    /// The root itself, unless it is what a layer without a word about it stands for: 0755 and root's.
    fn root(&mut self, upper: BorrowedFd<'_>) -> Result<(), Error> {
        let stat = rustix::fs::fstat(upper).map_err(|errno| SysError::new("fstat", "/", errno))?;
        let (name, path) = (c"", b"".as_slice());
        let visit = Visit { parent: upper, name, path, stat: &stat };
        let entry = self.entry(&visit, Kind::Directory, Vec::new());
        // Mode 0000: never mounted.
        if entry.mode == 0 || (entry.mode, entry.uid, entry.gid) == (0o755, 0, 0) {
            return Ok(());
        }
        self.append(&entry, &mut std::io::empty())
    }

    /// An empty file that means something.
    fn mark(&mut self, path: &[u8]) -> Result<(), Error> {
        let entry = Entry {
            path: path.to_vec(),
            kind: Kind::File { size: 0 },
            mode: 0o600,
            uid: 0,
            gid: 0,
            mtime: 0,
            mtime_nsec: 0,
            xattrs: Vec::new(),
        };
        self.append(&entry, &mut std::io::empty())
    }

    fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Error> {
        self.writer.append(entry, content).map_err(|error| unwritable(&entry.path, &error))
    }

    fn entry(&self, visit: &Visit<'_>, kind: Kind, xattrs: attributes::Attributes) -> Entry {
        Entry {
            path: visit.path.to_vec(),
            kind,
            mode: visit.stat.st_mode & 0o7777,
            uid: self.owners.inside(visit.stat.st_uid),
            gid: self.owners.inside(visit.stat.st_gid),
            mtime: visit.stat.st_mtime,
            mtime_nsec: u32::try_from(visit.stat.st_mtime_nsec).unwrap_or(0),
            xattrs,
        }
    }

    fn directory(&mut self, visit: &Visit<'_>) -> Result<(), Error> {
        let dir = visit.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
        let entry = self.entry(visit, Kind::Directory, attributes::read(dir.as_fd())?);
        self.append(&entry, &mut std::io::empty())?;
        if is_opaque(dir.as_fd())? && self.lower.stat(visit.path)?.is_some() {
            self.mark(&[visit.path, b"/", OPAQUE].concat())?;
        }
        Ok(())
    }

    fn object(&mut self, visit: &Visit<'_>) -> Result<(), Error> {
        if visit.stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&visit.stat.st_ino) {
                let entry = self.entry(visit, Kind::Hardlink { target: first.clone() }, Vec::new());
                return self.append(&entry, &mut std::io::empty());
            }
            self.links.insert(visit.stat.st_ino, visit.path.to_vec());
        }
        let (major, minor) = (rustix::fs::major(visit.stat.st_rdev), rustix::fs::minor(visit.stat.st_rdev));
        let kind = match visit.kind() {
            FileType::RegularFile => return self.file(visit),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(visit.parent, visit.name, Vec::new())
                    .map_err(|errno| SysError::new("readlinkat", String::from_utf8_lossy(visit.path), errno))?;
                Kind::Symlink { target: target.into_bytes() }
            }
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::CharDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            // A socket is nothing without the process that listens on it.
            _ => return Ok(()),
        };
        let entry = self.entry(visit, kind, Vec::new());
        self.append(&entry, &mut std::io::empty())
    }

    fn file(&mut self, visit: &Visit<'_>) -> Result<(), Error> {
        let file = visit.open(OFlags::RDONLY | OFlags::NONBLOCK)?;
        let size = u64::try_from(visit.stat.st_size).unwrap_or(0);
        let entry = self.entry(visit, Kind::File { size }, attributes::read(file.as_fd())?);
        // A running container may change the file meanwhile; the entry keeps the size that it announced.
        let mut content = std::fs::File::from(file).chain(std::io::repeat(0)).take(size);
        self.append(&entry, &mut content)
    }
}

fn unwritable(path: &[u8], error: &std::io::Error) -> Error {
    Error::new(ErrorClass::Internal, format!("writing the layer failed at /{}: {error}", String::from_utf8_lossy(path)))
}
