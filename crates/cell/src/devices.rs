//! `/dev`: a small tmpfs with the plan's nodes, prepared by the parent, because only the host's root may make device
//! nodes. Where the parent is root of a user namespace itself, the host's nodes are bound instead.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bulkhead_plan::{Device, IsolationPlan, MountSource};
use bulkhead_sys::SysError;
use bulkhead_sys::mount::{self, Filesystem, MountAttrFlags};
use bulkhead_sys::root::Root;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

/// What every `/dev` has besides nodes (`devtmpfs` and Docker alike).
pub const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// The prepared `/dev`.
#[derive(Debug, Default)]
pub struct Nodes {
    /// The detached tmpfs.
    pub mount: Option<OwnedFd>,
    /// Path inside and detached mount of each node that had to be bound.
    pub bound: Vec<(String, OwnedFd)>,
}

/// Prepares it if the plan has one.
///
/// # Errors
/// The kernel's.
pub fn prepare(plan: &IsolationPlan) -> Result<Nodes, SysError> {
    let Some(wanted) = plan.mounts.iter().find(|wanted| wanted.source == MountSource::Dev) else {
        return Ok(Nodes::default());
    };
    let root = plan.ids.to_host(0).map_err(|_| SysError::new("map", "id 0 has no host id", Errno::INVAL))?;
    let owner = Owner { uid: Uid::from_raw(root), gid: Gid::from_raw(root) };
    let id = root.to_string();
    let tmpfs = Filesystem::open("tmpfs")?;
    tmpfs.string("size", "64k")?.string("nr_inodes", "1024")?.string("mode", "755")?;
    tmpfs.string("uid", &id)?.string("gid", &id)?.create()?;
    let mut flags = MountAttrFlags::MOUNT_ATTR_NOSUID;
    if wanted.flags.noexec {
        flags |= MountAttrFlags::MOUNT_ATTR_NOEXEC;
    }
    let dev = Root::new(tmpfs.mount(flags)?);
    let mut bound = Vec::new();
    for device in &plan.devices {
        if let Some(mount) = make_node(&dev, device, owner)? {
            bound.push((device.path.clone(), mount));
        }
    }
    for (name, target) in LINKS {
        rustix::fs::symlinkat(target, dev.fd(), name).map_err(|errno| SysError::new("symlinkat", name, errno))?;
        owner.take(dev.fd(), name)?;
    }
    make_mount_points(plan, &dev, owner)?;
    Ok(Nodes { mount: Some(reopen(dev)?), bound })
}

fn reopen(dev: Root) -> Result<OwnedFd, SysError> {
    dev.fd().try_clone_to_owned().map_err(|errno| SysError::new("dup", "/dev", errno))
}

#[derive(Clone, Copy)]
struct Owner {
    uid: Uid,
    gid: Gid,
}

impl Owner {
    fn take(self, dir: BorrowedFd<'_>, name: &str) -> Result<(), SysError> {
        rustix::fs::chownat(dir, name, Some(self.uid), Some(self.gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| SysError::new("fchownat", name, errno))
    }
}

/// Directories for the mounts below `/dev` and a place for the console: made here, they cost the child no look-up.
fn make_mount_points(plan: &IsolationPlan, dev: &Root, owner: Owner) -> Result<(), SysError> {
    let is_file = |mount: &bulkhead_plan::Mount| matches!(mount.source, MountSource::Handle { file: true, .. });
    let directories = plan.mounts.iter().filter(|mount| !is_file(mount));
    for target in directories.filter_map(|mount| mount.target.strip_prefix("/dev/")) {
        if target.contains('/') || target == ".." {
            continue;
        }
        match rustix::fs::mkdirat(dev.fd(), target, Mode::from_raw_mode(0o755)) {
            Ok(()) => owner.take(dev.fd(), target)?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(SysError::new("mkdirat", target, errno)),
        }
    }
    if plan.process.terminal.is_some() {
        empty_file(dev.fd(), "console", owner)?;
    }
    Ok(())
}

fn empty_file(dir: BorrowedFd<'_>, name: &str, owner: Owner) -> Result<(), SysError> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o620))
        .map_err(|errno| SysError::new("openat", name, errno))?;
    owner.take(dir, name)
}

/// Makes one node; a detached mount of the host's where that is not allowed.
fn make_node(dev: &Root, device: &Device, owner: Owner) -> Result<Option<OwnedFd>, SysError> {
    let invalid = || SysError::new("mknodat", format!("{}: not a plain path below /dev", device.path), Errno::INVAL);
    let inside = device.path.strip_prefix("/dev/").ok_or_else(invalid)?;
    if inside.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(invalid());
    }
    let (parent, name) = match inside.rsplit_once('/') {
        Some((parent, name)) => (dev.create_dir_all(parent)?, name),
        None => (dev.fd().try_clone_to_owned().map_err(|errno| SysError::new("dup", "/dev", errno))?, inside),
    };
    let kind = if device.kind == 'b' { FileType::BlockDevice } else { FileType::CharacterDevice };
    let number = rustix::fs::makedev(device.major, device.minor);
    let mode = Mode::from_raw_mode(device.mode & 0o777);
    match rustix::fs::mknodat(&parent, name, kind, mode, number) {
        Ok(()) => {
            // The umask must not take from what the plan says.
            rustix::fs::chmodat(&parent, name, mode, AtFlags::empty())
                .map_err(|errno| SysError::new("fchmodat", name, errno))?;
            owner.take(parent.as_fd(), name)?;
            Ok(None)
        }
        Err(Errno::PERM) => {
            empty_file(parent.as_fd(), name, owner)?;
            bind_node(device, kind, number).map(Some)
        }
        Err(errno) => Err(SysError::new("mknodat", device.path.clone(), errno)),
    }
}

fn bind_node(device: &Device, kind: FileType, number: u64) -> Result<OwnedFd, SysError> {
    bind_host_node(&device.path, kind, number)
}

/// The host's node of the same name, if it is the same device.
///
/// # Errors
/// The kernel's; `ENODEV` if it is another device.
pub fn bind_host_node(path: &str, kind: FileType, number: u64) -> Result<OwnedFd, SysError> {
    let fail = |errno| SysError::new("open", format!("{path} of the host"), errno);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(fail)?;
    let stat = rustix::fs::fstat(&node).map_err(fail)?;
    if FileType::from_raw_mode(stat.st_mode) != kind || stat.st_rdev != number {
        return Err(fail(Errno::NODEV));
    }
    mount::clone_tree(node.as_fd(), "", false)
}
