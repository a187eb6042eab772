//! What our own executable does *inside* a container for `cp` and `export`: a path of the container is resolved with
//! the container's own rights, in its own mounts, behind its own filter. Nothing here runs on the host.
//!
//! Called as `bulkhead internal tar-out|tar-in|stat …`; data goes through standard input and output, an error's text
//! through standard error.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use bulkhead_archive::Limits;
use bulkhead_archive::tar::{Entry, Kind, Reader, Writer};
use rustix::fs::{AtFlags, CWD, Gid, Mode, StatxFlags, Timespec, Timestamps, Uid};

/// Extended attributes longer than this are left out; the kernel's own limit is 64 KiB.
const LONGEST_ATTRIBUTE: usize = 65_536;

/// How an archive is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutOptions {
    /// Follow the path itself if it is a link.
    pub follow: bool,
    /// Leave out what other mounts hold; their mount points appear empty.
    pub one_mount: bool,
}

/// Writes a tar of `path`. The first entry has the path's last component as its name; behind `/` or `…/.` the
/// archive holds the directory's content only.
///
/// # Errors
/// The path's or the sink's.
pub fn tar_out(path: &str, options: OutOptions, out: impl Write) -> io::Result<()> {
    let is_content = path.ends_with("/.") || path.trim_end_matches('/').is_empty() || path == ".";
    let mut real = PathBuf::from(if path.is_empty() { "/" } else { path });
    let name = if is_content { Vec::new() } else { real.file_name().unwrap_or_default().as_bytes().to_vec() };
    if options.follow {
        real = std::fs::canonicalize(&real).map_err(|error| named(&real, error))?;
    }
    let meta = std::fs::symlink_metadata(&real).map_err(|error| named(&real, error))?;
    let mount = if options.one_mount { mount_id(&real) } else { None };
    let tar = Writer::new(io::BufWriter::with_capacity(1 << 16, out));
    let mut walk = Walk { tar, mount, links: BTreeMap::new() };
    walk.add(&real, name, &meta)?;
    walk.tar.finish()?.flush()
}

struct Walk<W: Write> {
    tar: Writer<W>,
    /// Only what is in this mount.
    mount: Option<u64>,
    /// Device and inode of files with several names, with the first of them.
    links: BTreeMap<(u64, u64), Vec<u8>>,
}

impl<W: Write> Walk<W> {
    fn add(&mut self, path: &Path, name: Vec<u8>, meta: &Metadata) -> io::Result<()> {
        let is_foreign = self.mount.is_some_and(|mount| mount_id(path) != Some(mount));
        let Some(kind) = self.kind(path, &name, meta, is_foreign)? else { return Ok(()) };
        let size = if let Kind::File { size } = kind { size } else { 0 };
        let entry = Entry {
            path: name.clone(),
            kind,
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            mtime: meta.mtime(),
            mtime_nsec: u32::try_from(meta.mtime_nsec()).unwrap_or(0),
            xattrs: attributes(path),
        };
        if size > 0 {
            // A file that grows or shrinks meanwhile must not break the archive.
            let file = std::fs::File::open(path).map_err(|error| named(path, error))?;
            self.tar.append(&entry, &mut file.take(size).chain(io::repeat(0)).take(size))?;
        } else {
            self.tar.append(&entry, &mut io::empty())?;
        }
        if !meta.is_dir() || is_foreign {
            return Ok(());
        }
        let mut children: Vec<_> =
            std::fs::read_dir(path).map_err(|error| named(path, error))?.collect::<io::Result<_>>()?;
        children.sort_by_key(std::fs::DirEntry::file_name);
        for child in children {
            let mut below = name.clone();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend_from_slice(child.file_name().as_bytes());
            // One that disappeared meanwhile is left out.
            if let Ok(meta) = std::fs::symlink_metadata(child.path()) {
                self.add(&child.path(), below, &meta)?;
            }
        }
        Ok(())
    }

    /// `None` for a socket, which no archive can hold.
    fn kind(&mut self, path: &Path, name: &[u8], meta: &Metadata, is_foreign: bool) -> io::Result<Option<Kind>> {
        let (major, minor) = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
        let kind = match meta.file_type() {
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_symlink() => {
                let target = std::fs::read_link(path).map_err(|error| named(path, error))?;
                Kind::Symlink { target: target.as_os_str().as_bytes().to_vec() }
            }
            kind if kind.is_socket() => return Ok(None),
            kind if kind.is_fifo() => Kind::Fifo,
            kind if kind.is_char_device() => Kind::CharDevice { major, minor },
            kind if kind.is_block_device() => Kind::BlockDevice { major, minor },
            _ if is_foreign => Kind::File { size: 0 },
            _ => Kind::File { size: meta.len() },
        };
        if meta.nlink() > 1 && matches!(kind, Kind::File { .. }) && !is_foreign {
            if let Some(first) = self.links.get(&(meta.dev(), meta.ino())) {
                return Ok(Some(Kind::Hardlink { target: first.clone() }));
            }
            self.links.insert((meta.dev(), meta.ino()), name.to_vec());
        }
        Ok(Some(kind))
    }
}

/// Which mount a path is in.
fn mount_id(path: &Path) -> Option<u64> {
    let found = rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID).ok()?;
    Some(found.stx_mnt_id)
}

/// Those that can be read; a file without any is the rule.
fn attributes(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0u8; LONGEST_ATTRIBUTE];
    let Ok(length) = rustix::fs::llistxattr(path, &mut names) else { return Vec::new() };
    let mut found = Vec::new();
    for name in names.get(..length).unwrap_or_default().split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0u8; LONGEST_ATTRIBUTE];
        if let Ok(length) = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value) {
            value.truncate(length);
            found.push((name.to_vec(), value));
        }
    }
    found.sort();
    found
}

/// Extracts a tar below the directory `path`. `preserve` keeps owners, otherwise everything belongs to root.
///
/// # Errors
/// The archive's refusal, or the kernel's for an entry, which is named.
pub fn tar_in(path: &str, preserve: bool, input: impl Read) -> io::Result<()> {
    let base = Path::new(path);
    let meta = std::fs::metadata(base).map_err(|error| named(base, error))?;
    if !meta.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{path}: not a directory")));
    }
    let mut reader = Reader::new(input, Limits::default());
    let mut directories = Vec::new();
    while let Some(entry) = reader.next_entry().map_err(io::Error::other)? {
        let target = base.join(OsStr::from_bytes(&entry.path));
        put(&target, base, &entry, reader.content()).map_err(|error| named(&target, error))?;
        if entry.kind == Kind::Directory {
            directories.push((target, entry));
        } else {
            dress(&target, &entry, preserve).map_err(|error| named(&target, error))?;
        }
    }
    // Last and deepest first: filling a directory changes its times, and its mode may forbid it.
    for (target, entry) in directories.iter().rev().filter(|(_, entry)| !entry.path.is_empty()) {
        dress(target, entry, preserve).map_err(|error| named(target, error))?;
    }
    reader.finish().map_err(io::Error::other).map(|_| ())
}

fn put(target: &Path, base: &Path, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
    let existing = std::fs::symlink_metadata(target).ok();
    if entry.kind == Kind::Directory {
        return match existing {
            Some(meta) if meta.is_dir() => Ok(()),
            // A link to a directory stays what it is.
            Some(meta) if meta.is_symlink() && std::fs::metadata(target).is_ok_and(|meta| meta.is_dir()) => Ok(()),
            Some(_) => Err(io::Error::other("cannot overwrite non-directory with directory")),
            None => std::fs::create_dir_all(target),
        };
    }
    match existing {
        Some(meta) if meta.is_dir() => return Err(io::Error::other("cannot overwrite directory with non-directory")),
        Some(_) => std::fs::remove_file(target)?,
        None => {
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent)?;
            }
        }
    }
    match &entry.kind {
        Kind::File { .. } => {
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(target)?;
            io::copy(content, &mut file).map(|_| ())
        }
        Kind::Symlink { target: to } => std::os::unix::fs::symlink(OsStr::from_bytes(to), target),
        Kind::Hardlink { target: to } => std::fs::hard_link(base.join(OsStr::from_bytes(to)), target),
        Kind::Fifo => {
            rustix::fs::mknodat(CWD, target, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).map_err(Into::into)
        }
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "device nodes cannot be copied in; use --device")),
    }
}

/// Owner, mode, attributes and times.
fn dress(target: &Path, entry: &Entry, preserve: bool) -> io::Result<()> {
    if matches!(entry.kind, Kind::Hardlink { .. }) {
        return Ok(());
    }
    let (uid, gid) = if preserve { (entry.uid, entry.gid) } else { (0, 0) };
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::chownat(CWD, target, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    if !matches!(entry.kind, Kind::Symlink { .. }) {
        std::fs::set_permissions(target, std::fs::Permissions::from_mode(entry.mode))?;
    }
    for (name, value) in entry.xattrs.iter().filter(|(name, _)| name.starts_with(b"user.")) {
        rustix::fs::lsetxattr(target, OsStr::from_bytes(name), value, rustix::fs::XattrFlags::empty())?;
    }
    let time = Timespec { tv_sec: entry.mtime, tv_nsec: entry.mtime_nsec.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, target, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Writes what is at `path` as JSON; `null` if nothing is.
///
/// # Errors
/// The sink's, or the kernel's for anything but a missing path.
pub fn stat(path: &str, mut out: impl Write) -> io::Result<()> {
    let real = Path::new(path);
    let json = match std::fs::symlink_metadata(real) {
        Ok(meta) => {
            let link = meta.is_symlink().then(|| std::fs::canonicalize(real).or_else(|_| std::fs::read_link(real)));
            let link = link.and_then(Result::ok).unwrap_or_default();
            serde_json::json!({
                "name": real.file_name().map_or_else(|| "/".into(), |name| name.to_string_lossy().into_owned()),
                "size": meta.size(),
                "mode": meta.mode(),
                "mtime": meta.mtime(),
                "link_target": link.to_string_lossy(),
            })
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            serde_json::Value::Null
        }
        Err(error) => return Err(named(real, error)),
    };
    writeln!(out, "{json}")
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(archive: &[u8]) -> Vec<String> {
        let mut reader = Reader::new(archive, Limits::default());
        let mut names = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            names.push(String::from_utf8(entry.path).unwrap());
        }
        names
    }

    #[test]
    fn a_tree_goes_out_and_in_again() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        std::fs::create_dir_all(source.join("d")).unwrap();
        std::fs::write(source.join("d/file"), b"content").unwrap();
        std::fs::set_permissions(source.join("d/file"), std::fs::Permissions::from_mode(0o640)).unwrap();
        std::fs::hard_link(source.join("d/file"), source.join("second")).unwrap();
        std::os::unix::fs::symlink("d/file", source.join("link")).unwrap();
        let mut archive = Vec::new();
        tar_out(source.to_str().unwrap(), OutOptions::default(), &mut archive).unwrap();
        assert_eq!(names(&archive), ["source", "source/d", "source/d/file", "source/link", "source/second"]);
        let target = dir.path().join("target");
        std::fs::create_dir(&target).unwrap();
        tar_in(target.to_str().unwrap(), true, archive.as_slice()).unwrap();
        assert_eq!(std::fs::read(target.join("source/second")).unwrap(), b"content");
        let meta = std::fs::metadata(target.join("source/d/file")).unwrap();
        assert_eq!((meta.mode() & 0o777, meta.nlink()), (0o640, 2));
        assert_eq!(std::fs::read_link(target.join("source/link")).unwrap(), Path::new("d/file"));
        let mut content = Vec::new();
        tar_out(&format!("{}/.", source.display()), OutOptions::default(), &mut content).unwrap();
        assert!(names(&content).contains(&"d/file".to_owned()));
    }

    #[test]
    fn directories_and_files_do_not_replace_each_other() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x"), b"1").unwrap();
        let mut archive = Vec::new();
        tar_out(dir.path().join("x").to_str().unwrap(), OutOptions::default(), &mut archive).unwrap();
        let target = tempfile::tempdir().unwrap();
        std::fs::create_dir(target.path().join("x")).unwrap();
        let error = tar_in(target.path().to_str().unwrap(), true, archive.as_slice()).unwrap_err();
        assert!(error.to_string().contains("cannot overwrite directory with non-directory"), "{error}");
    }

    #[test]
    fn what_is_there_is_described() {
        let mut out = Vec::new();
        stat("/etc/passwd", &mut out).unwrap();
        let view: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(view["name"], "passwd");
        let mut out = Vec::new();
        stat("/nothing/here", &mut out).unwrap();
        assert_eq!(out, b"null\n");
    }
}
