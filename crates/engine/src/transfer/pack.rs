//! A path of this process's world as a tar.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bulkhead_archive::tar::{Entry, Kind, Writer};
use bulkhead_types::ErrorClass;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, StatxFlags};
use rustix::io::Errno;

use super::failed;
use crate::{Error, Result};

/// Longest value of an extended attribute (`XATTR_SIZE_MAX` of the kernel).
const XATTR_MAX: usize = 65_536;
/// Deepest directory; each level holds a descriptor.
const DEEPEST: usize = 900;

/// How a path is packed.
#[derive(Clone, Debug, Default)]
pub struct PackOptions {
    /// If the path is a link, what it leads to is packed.
    pub follow: bool,
    /// Name of the topmost entry instead of the path's last component; empty puts the contents at the root.
    pub name: Option<String>,
    /// What other mounts hold is left out; where they are mounted appears empty.
    pub one_mount: bool,
}

/// Writes a tar of `path`. Its entries begin with the path's last component; with a trailing `/.`, or for `/`, with
/// what is in the directory. Sockets cannot be archived and are left out.
///
/// # Errors
/// If there is nothing, or reading or writing fails.
pub fn pack(path: &Path, options: &PackOptions, out: &mut dyn Write) -> Result<()> {
    let contents_only = path.as_os_str().as_bytes().ends_with(b"/.") || path.file_name().is_none();
    let name = match (&options.name, contents_only) {
        (Some(name), _) => name.as_bytes().to_vec(),
        (None, true) => Vec::new(),
        (None, false) => path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default(),
    };
    let flags = if options.follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
    let stat = rustix::fs::statat(rustix::fs::CWD, path, flags).map_err(|errno| failed("copy", path, errno))?;
    let nofollow = if options.follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let mut packer = Packer { writer: Writer::new(out), links: HashMap::new(), mount: None };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | nofollow;
            let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed("open", path, errno))?;
            if options.one_mount {
                packer.mount = mount_id(dir.as_fd(), c"");
            }
            packer.directory(name.clone(), &stat, &dir)?;
            packer.below(&dir, &name, 0)?;
        }
        FileType::Symlink => {
            let target =
                rustix::fs::readlink(path, Vec::new()).map_err(|errno| failed("read the link", path, errno))?;
            let kind = Kind::Symlink { target: target.into_bytes() };
            packer.append(entry(name, kind, &stat), &mut io::empty())?;
        }
        _ => {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | nofollow;
            packer.leaf(name, &stat, || rustix::fs::open(path, flags, Mode::empty()))?;
        }
    }
    packer.writer.finish().map_err(|error| written(&error))?;
    Ok(())
}

struct Packer<'w> {
    writer: Writer<&'w mut dyn Write>,
    /// Only what is in this mount.
    mount: Option<u64>,
    /// First path of each file with several names.
    links: HashMap<(u64, u64), Vec<u8>>,
}

fn written(error: &io::Error) -> Error {
    Error::new(ErrorClass::Unavailable, format!("writing the archive failed: {error}"))
}

fn entry(path: Vec<u8>, kind: Kind, stat: &Stat) -> Entry {
    Entry {
        path,
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: stat.st_mtime,
        mtime_nsec: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        xattrs: Vec::new(),
    }
}

impl Packer<'_> {
    fn append(&mut self, entry: Entry, content: &mut dyn Read) -> Result<()> {
        self.writer.append(&entry, content).map_err(|error| written(&error))
    }

    fn directory(&mut self, path: Vec<u8>, stat: &Stat, dir: &OwnedFd) -> Result<()> {
        let mut entry = entry(path, Kind::Directory, stat);
        entry.xattrs = xattrs(dir.as_fd());
        self.append(entry, &mut io::empty())
    }

    /// Anything but a directory or a symbolic link.
    fn leaf(
        &mut self,
        path: Vec<u8>,
        stat: &Stat,
        open: impl Fn() -> std::result::Result<OwnedFd, Errno>,
    ) -> Result<()> {
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File { size: u64::try_from(stat.st_size).unwrap_or(0) },
            FileType::CharacterDevice => Kind::CharDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            FileType::Fifo => Kind::Fifo,
            _ => return Ok(()),
        };
        if stat.st_nlink > 1 {
            if let Some(target) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                let kind = Kind::Hardlink { target: target.clone() };
                return self.append(entry(path, kind, stat), &mut io::empty());
            }
            self.links.insert((stat.st_dev, stat.st_ino), path.clone());
        }
        let mut entry = entry(path, kind, stat);
        let Kind::File { size } = entry.kind else { return self.append(entry, &mut io::empty()) };
        let name = String::from_utf8_lossy(&entry.path).into_owned();
        let fd = open().map_err(|errno| failed("open", Path::new(&name), errno))?;
        // Between the look and the opening another process may have put something else here.
        let now = rustix::fs::fstat(&fd).map_err(|errno| failed("look at", Path::new(&name), errno))?;
        if FileType::from_raw_mode(now.st_mode) != FileType::RegularFile {
            return Err(Error::new(ErrorClass::Conflict, format!("{name} changed while it was copied: copy again")));
        }
        entry.xattrs = xattrs(fd.as_fd());
        // A file that shrinks meanwhile is filled up with zeros, one that grows is cut, as tar does.
        let mut content = File::from(fd).chain(io::repeat(0)).take(size);
        self.append(entry, &mut content)
    }
}

impl Packer<'_> {
    /// What is in a directory, by bytes of the names.
    fn below(&mut self, dir: &OwnedFd, path: &[u8], depth: usize) -> Result<()> {
        let fail = |errno| failed("read", Path::new(&*String::from_utf8_lossy(path)), errno);
        if depth > DEEPEST {
            let text = format!("directories are nested deeper than {DEEPEST}: copy an inner one by itself");
            return Err(Error::new(ErrorClass::Unsupported, text));
        }
        let mut names = Vec::new();
        for found in Dir::read_from(dir).map_err(fail)? {
            let name = found.map_err(fail)?.file_name().to_owned();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name);
            }
        }
        names.sort();
        for name in names {
            let inside =
                if path.is_empty() { name.to_bytes().to_vec() } else { [path, b"/", name.to_bytes()].concat() };
            self.named(dir.as_fd(), &name, inside, depth)?;
        }
        Ok(())
    }

    fn named(&mut self, parent: BorrowedFd<'_>, name: &CStr, path: Vec<u8>, depth: usize) -> Result<()> {
        let text = String::from_utf8_lossy(&path).into_owned();
        let fail = |what, errno| failed(what, Path::new(&text), errno);
        let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Gone meanwhile.
            Err(Errno::NOENT) => return Ok(()),
            other => other.map_err(|errno| fail("look at", errno))?,
        };
        let is_foreign = self.mount.is_some() && mount_id(parent, name) != self.mount;
        let open = |flags| rustix::fs::openat(parent, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if is_foreign => self.append(entry(path, Kind::Directory, &stat), &mut io::empty()),
            FileType::Directory => {
                let dir = open(OFlags::RDONLY | OFlags::DIRECTORY).map_err(|errno| fail("open", errno))?;
                self.directory(path.clone(), &stat, &dir)?;
                self.below(&dir, &path, depth + 1)
            }
            FileType::Symlink => {
                let target = link_target(parent, name).map_err(|errno| fail("read the link", errno))?;
                self.append(entry(path, Kind::Symlink { target }, &stat), &mut io::empty())
            }
            FileType::RegularFile if is_foreign => {
                self.append(entry(path, Kind::File { size: 0 }, &stat), &mut io::empty())
            }
            _ => self.leaf(path, &stat, || open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)),
        }
    }
}

/// Which mount an object is in.
fn mount_id(parent: BorrowedFd<'_>, name: &CStr) -> Option<u64> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    rustix::fs::statx(parent, name, flags, StatxFlags::MNT_ID).ok().map(|found| found.stx_mnt_id)
}

fn link_target(parent: BorrowedFd<'_>, name: &CStr) -> std::result::Result<Vec<u8>, Errno> {
    rustix::fs::readlinkat(parent, name, Vec::new()).map(|target| target.into_bytes())
}

/// Those that mean something elsewhere: the user's own, file capabilities and access lists.
fn xattrs(fd: BorrowedFd<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0u8; XATTR_MAX];
    // A file system without attributes has none.
    let Ok(length) = rustix::fs::flistxattr(fd, &mut names[..]) else { return Vec::new() };
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = names
        .get(..length)
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .filter(|name| {
            name.starts_with(b"user.") || *name == b"security.capability" || name.starts_with(b"system.posix_acl_")
        })
        .filter_map(|name| {
            let mut value = vec![0u8; XATTR_MAX];
            let length = rustix::fs::fgetxattr(fd, name, &mut value[..]).ok()?;
            value.truncate(length);
            Some((name.to_vec(), value))
        })
        .collect();
    found.sort();
    found
}
