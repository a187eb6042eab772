//! A layer as a directory: everything is made through descriptors below the staging directory, no link is followed.

use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};

use bulkhead_archive::tar::{self, Entry};
use bulkhead_types::Digest;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::index::{Body, Index, Metadata, Node, Placed, ROOT};
use super::{Directory, Failure, Sink};

/// Bytes that are written at once.
const BUFFER: usize = 256 << 10;

/// Fills one directory.
pub(super) struct Writer<'a> {
    root: BorrowedFd<'a>,
    how: &'a Directory,
    /// The directory that was opened last, which is mostly the next one too.
    last: Option<(Vec<u8>, OwnedFd)>,
    buffer: Vec<u8>,
}

impl<'a> Writer<'a> {
    pub fn new(root: BorrowedFd<'a>, how: &'a Directory) -> Self {
        Self { root, how, last: None, buffer: vec![0; BUFFER] }
    }

    /// Opens a directory of the layer, making what is missing; none of its components is a link, because the index
    /// let none through, and the kernel checks that again.
    fn directory(&mut self, path: &[u8]) -> Result<&OwnedFd, Errno> {
        if self.last.as_ref().is_none_or(|(last, _)| last != path) {
            let dir = match self.open(path) {
                Err(Errno::NOENT) => {
                    self.make(path)?;
                    self.open(path)?
                }
                other => other?,
            };
            self.last = Some((path.to_vec(), dir));
        }
        self.last.as_ref().map(|(_, dir)| dir).ok_or(Errno::NOENT)
    }

    fn open(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        rustix::fs::openat2(self.root, path, flags, Mode::empty(), resolve)
    }

    fn make(&self, path: &[u8]) -> Result<(), Errno> {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            let (parent, name) = split(&path[..end]);
            match rustix::fs::mkdirat(self.open(parent)?, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn file<R: Read>(&mut self, path: &[u8], content: &mut tar::Body<R>) -> Result<OwnedFd, Failure> {
        let (parent, name) = split(path);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let dir = self.directory(parent).map_err(|errno| disk(path, errno))?;
        let file = rustix::fs::openat(dir, name, flags, mode).map_err(|errno| disk(path, errno))?;
        let mut position = 0;
        loop {
            match content.piece(&mut self.buffer).map_err(tar::Error::Io)? {
                tar::Piece::Data(count) => {
                    write_at(&file, &self.buffer[..count], position).map_err(|errno| disk(path, errno))?;
                    position += count as u64;
                }
                tar::Piece::Hole(bytes) => position += bytes,
                tar::Piece::End => break,
            }
        }
        rustix::fs::ftruncate(&file, position).map_err(|errno| disk(path, errno))?;
        Ok(file)
    }

    fn special(&mut self, path: &[u8], node: &Node) -> Result<OwnedFd, Errno> {
        let (parent, name) = split(path);
        let dir = self.directory(parent)?;
        match &node.body {
            Body::Symlink(target) => rustix::fs::symlinkat(&target[..], dir, name)?,
            Body::Fifo => rustix::fs::mknodat(dir, name, FileType::Fifo, Mode::RUSR, 0)?,
            Body::Whiteout => rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0)?,
            Body::File { .. } | Body::Directory(_) => return Err(Errno::INVAL),
        }
        rustix::fs::openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    }

    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Errno> {
        let (from, old) = split(target);
        let from = self.open(from)?;
        let (parent, name) = split(path);
        rustix::fs::linkat(from, old, self.directory(parent)?, name, AtFlags::empty())
    }

    /// Owner, mode, attributes and time, in this order: a new owner clears setuid bits and capabilities.
    fn dress(&self, object: &OwnedFd, node: &Node) -> Result<(), Errno> {
        let Metadata { mode, uid, gid, mtime, mtime_nsec, attributes } = &node.metadata;
        let mapped = |id: u32| match &self.how.ids {
            Some(map) => map.to_host(id).or_else(|_| map.to_host(65_534)).map_err(|_| Errno::OVERFLOW),
            None => Ok(id),
        };
        let (uid, gid) = (Uid::from_raw(mapped(*uid)?), Gid::from_raw(mapped(*gid)?));
        rustix::fs::chownat(object, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
        let name = bulkhead_sys::mount::descriptor_path(std::os::fd::AsFd::as_fd(object));
        if !matches!(node.body, Body::Symlink(_)) {
            rustix::fs::chmod(&name, Mode::from_raw_mode(*mode))?;
        }
        for (key, value) in attributes.iter() {
            self.set_attribute(&name, key, value)?;
        }
        if matches!(&node.body, Body::Directory(directory) if directory.opaque) {
            let key = if self.how.user_xattrs { "user.overlay.opaque" } else { "trusted.overlay.opaque" };
            rustix::fs::setxattr(&name, key, b"y", XattrFlags::empty())?;
        }
        let time = Timespec { tv_sec: *mtime, tv_nsec: (*mtime_nsec).into() };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(object, "", &times, AtFlags::EMPTY_PATH)
    }

    /// `trusted.` attributes do not exist for somebody without the host's own rights.
    fn set_attribute(&self, object: &str, key: &[u8], value: &[u8]) -> Result<(), Errno> {
        match rustix::fs::setxattr(object, key, value, XattrFlags::empty()) {
            Err(Errno::PERM) if self.how.user_xattrs && key.starts_with(b"trusted.") => Ok(()),
            other => other,
        }
    }

    /// Makes the directories and whiteouts that are missing and gives every directory its metadata, last of all.
    fn tree(&mut self, index: &Index) -> Result<(), Failure> {
        let mut waiting = vec![(Vec::new(), ROOT)];
        while let Some((path, id)) = waiting.pop() {
            let node = index.node(id);
            let Body::Directory(directory) = &node.body else { continue };
            self.directory(&path).map_err(|errno| disk(&path, errno))?;
            for (name, &child) in &directory.children {
                let below = if path.is_empty() { name.to_vec() } else { [&path, &b"/"[..], name].concat() };
                match &index.node(child).body {
                    Body::Directory(_) => {
                        self.make(&below).map_err(|errno| disk(&below, errno))?;
                        waiting.push((below, child));
                    }
                    Body::Whiteout => {
                        self.special(&below, index.node(child)).map_err(|errno| disk(&below, errno))?;
                    }
                    Body::File { .. } | Body::Symlink(_) | Body::Fifo => {}
                }
            }
            let here = self.open(&path).and_then(|dir| self.dress(&dir, node));
            here.map_err(|errno| disk(&path, errno))?;
        }
        Ok(())
    }
}

impl Sink for Writer<'_> {
    fn take<R: Read>(
        &mut self,
        index: &mut Index,
        entry: &Entry,
        placed: Placed,
        content: &mut tar::Body<R>,
    ) -> Result<(), Failure> {
        let failed = |errno| disk(&entry.path, errno);
        let (object, id) = match (placed, &entry.kind) {
            (Placed::File(id), _) => (self.file(&entry.path, content)?, id),
            (Placed::Special(id), _) => (self.special(&entry.path, index.node(id)).map_err(failed)?, id),
            (Placed::Hardlink(_), tar::Kind::Hardlink { target }) => {
                return self.link(&entry.path, target).map_err(failed);
            }
            _ => return Ok(()),
        };
        self.dress(&object, index.node(id)).map_err(failed)
    }

    fn finish(mut self, index: &Index, _diff_id: &Digest) -> Result<(), Failure> {
        self.tree(index)
    }
}

/// Directory and last component.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn disk(path: &[u8], errno: Errno) -> Failure {
    Failure::Entry { entry: path.to_vec(), errno }
}

fn write_at(file: &OwnedFd, mut bytes: &[u8], mut at: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let count = rustix::io::retry_on_intr(|| rustix::io::pwrite(file, bytes, at))?;
        bytes = &bytes[count..];
        at += count as u64;
    }
    Ok(())
}
