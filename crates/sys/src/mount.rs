//! The mount API of descriptors: `fsopen(2)`, `fsconfig(2)`, `fsmount(2)`, `open_tree(2)`, `move_mount(2)`,
//! `mount_setattr(2)`. No path string reaches `mount(2)`.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use linux_raw_sys::general::mount_attr;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use crate::{Result, SysError, raw};

pub use rustix::mount::{MountAttrFlags, MountPropagationFlags};

const AT_EMPTY_PATH: u32 = 0x1000;
const AT_RECURSIVE: u32 = 0x8000;

/// A file system that is being configured (`fsopen(2)`).
#[derive(Debug)]
pub struct Filesystem {
    context: OwnedFd,
    kind: String,
}

impl Filesystem {
    /// Begins one of this kind (`overlay`, `tmpfs`, `proc`, …).
    ///
    /// # Errors
    /// `ENODEV` if the kernel does not know it.
    pub fn open(kind: &str) -> Result<Self> {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(|errno| SysError::new("fsopen", kind, errno))?;
        Ok(Self { context, kind: kind.to_owned() })
    }

    /// Sets an option without a value.
    ///
    /// # Errors
    /// The kernel's, with its message.
    pub fn flag(&self, key: &str) -> Result<&Self> {
        rustix::mount::fsconfig_set_flag(&self.context, key).map_err(|errno| self.error(key, errno))?;
        Ok(self)
    }

    /// Sets an option.
    ///
    /// # Errors
    /// The kernel's, with its message.
    pub fn string(&self, key: &str, value: &str) -> Result<&Self> {
        rustix::mount::fsconfig_set_string(&self.context, key, value)
            .map_err(|errno| self.error(&format!("{key}={value}"), errno))?;
        Ok(self)
    }

    /// Sets an option to an open file.
    ///
    /// # Errors
    /// `EINVAL` if this option of this kernel takes no descriptors; otherwise the kernel's, with its message.
    pub fn descriptor(&self, key: &str, value: BorrowedFd<'_>) -> Result<&Self> {
        rustix::mount::fsconfig_set_fd(&self.context, key, value).map_err(|errno| self.error(key, errno))?;
        Ok(self)
    }

    /// Makes the super block (`FSCONFIG_CMD_CREATE`).
    ///
    /// # Errors
    /// The kernel's, with its message.
    pub fn create(&self) -> Result<&Self> {
        rustix::mount::fsconfig_create(&self.context).map_err(|errno| self.error("create", errno))?;
        Ok(self)
    }

    /// As [`Filesystem::create`], with these ids as the ones the file system remembers for its own writes, but with
    /// every capability that the caller has. Needed where the lower file systems are idmapped and the caller's own
    /// id has no counterpart in them.
    ///
    /// # Errors
    /// The kernel's, with its message; or if the caller's own ids cannot be put back, after which the thread must end.
    pub fn create_as(&self, uid: u32, gid: u32) -> Result<&Self> {
        let ids = FileIds::assume(uid, gid)?;
        let created = self.create();
        ids.restore()?;
        created
    }

    /// A detached mount of it. It disappears with its descriptor unless it is attached somewhere.
    ///
    /// # Errors
    /// The kernel's, with its message.
    pub fn mount(&self, attributes: MountAttrFlags) -> Result<OwnedFd> {
        rustix::mount::fsmount(&self.context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|errno| self.error("fsmount", errno))
    }

    /// Takes the kernel's messages out of the context, so that an error says what the errno alone does not.
    fn error(&self, what: &str, errno: Errno) -> SysError {
        let mut object = format!("{} {what}", self.kind);
        let mut buffer = [0u8; 1024];
        // Each read(2) gives one message such as "e overlay: No changes allowed in reconfigure".
        for _ in 0..16 {
            let Ok(count) = rustix::io::read(&self.context, &mut buffer) else { break };
            let message = String::from_utf8_lossy(&buffer[..count]);
            let text = message.trim_end();
            object.push_str("; the kernel says: ");
            object.push_str(text.split_once(' ').map_or(text, |(_, rest)| rest));
        }
        SysError::new("fsconfig", object, errno)
    }
}

/// The ids that this thread shows to file systems, changed for one call.
struct FileIds {
    uid: u32,
    gid: u32,
    capabilities: rustix::thread::CapabilitySets,
}

impl FileIds {
    fn assume(uid: u32, gid: u32) -> Result<Self> {
        let mut capabilities =
            rustix::thread::capabilities(None).map_err(|errno| SysError::new("capget", "", errno))?;
        let before =
            Self { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw(), capabilities };
        if raw::mount::setfsgid(gid) != gid || raw::mount::setfsuid(uid) != uid {
            before.restore()?;
            return Err(SysError::new("setfsuid", format!("{uid}:{gid}"), Errno::PERM));
        }
        // setfsuid(2) away from 0 drops the capabilities that concern files; they are needed to make the work directory.
        capabilities.effective = capabilities.permitted;
        if let Err(errno) = rustix::thread::set_capabilities(None, capabilities) {
            before.restore()?;
            return Err(SysError::new("capset", "", errno));
        }
        Ok(before)
    }

    fn restore(&self) -> Result<()> {
        let restored = raw::mount::setfsuid(self.uid) == self.uid && raw::mount::setfsgid(self.gid) == self.gid;
        if !restored {
            return Err(SysError::new("setfsuid", format!("{}:{}", self.uid, self.gid), Errno::PERM));
        }
        rustix::thread::set_capabilities(None, self.capabilities).map_err(|errno| SysError::new("capset", "", errno))
    }
}

/// A detached copy of the mount at `path` below `dir` (the directory itself if `path` is empty), with the mounts below
/// it if `recursive`. Links in `path` are followed: give it only trusted paths, or an open object and `""`.
///
/// # Errors
/// The kernel's.
pub fn clone_tree(dir: BorrowedFd<'_>, path: &str, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(dir, path, flags).map_err(|errno| SysError::new("open_tree", path, errno))
}

/// Attaches a detached mount over an open file or directory.
///
/// # Errors
/// The kernel's; `ENOTDIR` and `EISDIR`-like failures mean that one is a directory and the other is not.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags).map_err(|errno| SysError::new("move_mount", "", errno))
}

/// Runs `work` on a thread of its own in a private copy of the mount namespace: what it attaches is seen by nobody else
/// and gone afterwards, even if the process is killed.
///
/// # Errors
/// The kernel's, before `work` was begun.
pub fn with_private_mounts<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    let run = || {
        raw::mount::unshare_mounts().map_err(|errno| SysError::new("unshare", "mount namespace", errno))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root =
            rustix::fs::openat(CWD, "/", flags, Mode::empty()).map_err(|errno| SysError::new("open", "/", errno))?;
        let private = Change { propagation: Some(MountPropagationFlags::PRIVATE), ..Change::default() };
        change(root.as_fd(), &private, true)?;
        Ok(work())
    };
    std::thread::scope(|scope| scope.spawn(run).join())
        .map_err(|_| SysError::new("thread", "private mounts", Errno::CANCELED))?
}

/// What [`change`] changes.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Attributes to set.
    pub set: MountAttrFlags,
    /// Attributes to clear.
    pub clear: MountAttrFlags,
    /// A new propagation type.
    pub propagation: Option<MountPropagationFlags>,
    /// A user namespace whose map translates the ids on disk. Possible once, on a detached mount.
    pub idmap: Option<BorrowedFd<'a>>,
}

impl Default for Change<'_> {
    fn default() -> Self {
        Self { set: MountAttrFlags::empty(), clear: MountAttrFlags::empty(), propagation: None, idmap: None }
    }
}

/// `mount_setattr(2)` on a mount given by any descriptor on its root; on everything below it too if `recursive`.
///
/// # Errors
/// The kernel's; with an idmap, `EINVAL` means that the file system cannot be idmapped.
pub fn change(mount: BorrowedFd<'_>, change: &Change<'_>, recursive: bool) -> Result<()> {
    let idmap_flag = change.idmap.map_or(MountAttrFlags::empty(), |_| MountAttrFlags::MOUNT_ATTR_IDMAP);
    let attributes = mount_attr {
        attr_set: u64::from((change.set | idmap_flag).bits()),
        attr_clr: u64::from(change.clear.bits()),
        propagation: change.propagation.map_or(0, |flags| u64::from(flags.bits())),
        userns_fd: change.idmap.map_or(0, |fd| u64::from(fd.as_raw_fd().cast_unsigned())),
    };
    let flags = if recursive { AT_EMPTY_PATH | AT_RECURSIVE } else { AT_EMPTY_PATH };
    raw::mount::mount_setattr(mount, flags, &attributes).map_err(|errno| SysError::new("mount_setattr", "", errno))
}

/// `umount2(path, UMOUNT_NOFOLLOW)`; `detach` takes it out of sight even if it is in use (`MNT_DETACH`).
///
/// # Errors
/// `EINVAL` if nothing is mounted there, `EBUSY` if it is in use.
pub fn unmount(path: &Path, detach: bool) -> Result<()> {
    let mut flags = UnmountFlags::NOFOLLOW;
    if detach {
        flags |= UnmountFlags::DETACH;
    }
    rustix::mount::unmount(path, flags).map_err(|errno| SysError::new("umount2", path.display().to_string(), errno))
}

/// Makes `root` the root of this mount namespace and takes the old one, with everything on it, out of sight:
/// `fchdir`, `pivot_root(".", ".")`, `umount2(".", MNT_DETACH)`, `chdir("/")`. `root` must be a mount point.
///
/// # Errors
/// The kernel's; the namespace may be half changed then and the process must end.
pub fn pivot_into(root: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(root).map_err(|errno| SysError::new("fchdir", "new root", errno))?;
    rustix::process::pivot_root(".", ".").map_err(|errno| SysError::new("pivot_root", ".", errno))?;
    // The old root lies on top of the new one at "." now.
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(|errno| SysError::new("umount2", "old root", errno))?;
    rustix::process::chdir("/").map_err(|errno| SysError::new("chdir", "/", errno))
}

/// True if the directory `name` below `dir` is the root of a mount of its own (`STATX_ATTR_MOUNT_ROOT`, Linux 5.8).
///
/// # Errors
/// The kernel's.
pub fn is_mount_root(dir: BorrowedFd<'_>, name: &str) -> Result<bool> {
    use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    let stat =
        rustix::fs::statx(dir, name, flags, StatxFlags::TYPE).map_err(|errno| SysError::new("statx", name, errno))?;
    Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// A read-only loop device on `file` that frees itself when its last user goes. Needed where the kernel cannot mount
/// an image from its file.
///
/// # Errors
/// If there is no loop driver or every device is taken.
pub fn loop_device(file: BorrowedFd<'_>) -> Result<(OwnedFd, String)> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let control = rustix::fs::openat(CWD, "/dev/loop-control", flags, Mode::empty())
        .map_err(|errno| SysError::new("open", "/dev/loop-control (is the loop module loaded?)", errno))?;
    // Between the question for a free device and its use another process may be quicker; then ask again.
    for _ in 0..64 {
        let number = raw::mount::loop_free_number(control.as_fd())
            .map_err(|errno| SysError::new("LOOP_CTL_GET_FREE", "", errno))?;
        let path = format!("/dev/loop{number}");
        let device = rustix::fs::openat(CWD, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| SysError::new("open", path.as_str(), errno))?;
        match raw::mount::loop_configure(device.as_fd(), file) {
            Ok(()) => return Ok((device, path)),
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(SysError::new("LOOP_CONFIGURE", path, errno)),
        }
    }
    Err(SysError::new("LOOP_CONFIGURE", "64 attempts", Errno::BUSY))
}

/// True if nobody, the kernel's own mounts included, has this file open but the caller (a write lease is granted).
/// `file` must be the caller's only descriptor of it, opened for reading.
///
/// # Errors
/// If the file system knows no leases.
pub fn is_unused(file: BorrowedFd<'_>) -> Result<bool> {
    match raw::mount::write_lease(file) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN | Errno::BUSY) => Ok(false),
        Err(errno) => Err(SysError::new("fcntl", "F_SETLEASE", errno)),
    }
}

/// Tells the kernel's name of an open file: a path that reaches the same object without looking anything up again.
#[must_use]
pub fn descriptor_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// The type of a file system as `statfs(2)` tells it.
///
/// # Errors
/// The kernel's.
pub fn filesystem_magic(fd: BorrowedFd<'_>) -> Result<u64> {
    let stat = rustix::fs::fstatfs(fd).map_err(|errno| SysError::new("fstatfs", "", errno))?;
    // The field's type differs between architectures; the numbers of linux/magic.h have at most 32 bits.
    Ok(u64::from(u32::try_from(stat.f_type & 0xFFFF_FFFF).unwrap_or(0)))
}

/// A C string for a call that needs one; names with a NUL cannot exist.
///
/// # Errors
/// `EINVAL` for a NUL inside.
pub fn c_name(name: &[u8]) -> Result<std::ffi::CString> {
    std::ffi::CString::new(name).map_err(|_| SysError::new("name", String::from_utf8_lossy(name), Errno::INVAL))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// True if the test may go on: it needs root.
    pub(crate) fn root() -> bool {
        let is_root = rustix::process::geteuid().is_root();
        if !is_root {
            assert!(
                !std::env::var("BULKHEAD_MUST_RUN").unwrap_or_default().contains("root"),
                "BULKHEAD_MUST_RUN demands root"
            );
            println!("skipped: needs root");
        }
        is_root
    }

    #[test]
    fn a_detached_tmpfs_is_usable_and_errors_carry_the_kernels_words() {
        if !root() {
            return;
        }
        let tmpfs = Filesystem::open("tmpfs").unwrap();
        tmpfs.string("size", "65536").unwrap().string("mode", "0755").unwrap();
        let mount = tmpfs.create().unwrap().mount(MountAttrFlags::MOUNT_ATTR_NODEV).unwrap();
        rustix::fs::mkdirat(&mount, "a", Mode::RWXU).unwrap();
        assert!(is_mount_root(mount.as_fd(), "").unwrap());
        assert!(!is_mount_root(mount.as_fd(), "a").unwrap());
        let error = Filesystem::open("tmpfs").unwrap().string("size", "nonsense").unwrap_err();
        assert!(error.to_string().contains("the kernel says"), "{error}");
        assert_eq!(Filesystem::open("nosuchfs").unwrap_err().raw(), libc::ENODEV);
    }

    #[test]
    fn attach_change_and_unmount_work_by_descriptor() {
        if !root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let target = std::fs::File::open(dir.path()).unwrap();
        let mount = Filesystem::open("tmpfs").unwrap().create().unwrap().mount(MountAttrFlags::empty()).unwrap();
        attach(mount.as_fd(), target.as_fd()).unwrap();
        let read_only = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::default() };
        change(mount.as_fd(), &read_only, false).unwrap();
        assert_eq!(std::fs::write(dir.path().join("x"), "").unwrap_err().raw_os_error(), Some(libc::EROFS));
        drop(mount);
        unmount(dir.path(), false).unwrap();
        assert_eq!(unmount(dir.path(), false).unwrap_err().raw(), libc::EINVAL);
    }

    #[test]
    fn an_idmapped_clone_shows_translated_owners() {
        if !root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "x").unwrap();
        let fd = std::fs::File::open(dir.path()).unwrap();
        let clone = clone_tree(fd.as_fd(), "", false).unwrap();
        let map = "0 1879048192 65536\n";
        let namespace = crate::idmap::namespace_with_map(map, map).unwrap();
        change(clone.as_fd(), &Change { idmap: Some(namespace.as_fd()), ..Change::default() }, false).unwrap();
        let stat = rustix::fs::statat(&clone, "f", rustix::fs::AtFlags::empty()).unwrap();
        assert_eq!((stat.st_uid, stat.st_gid), (1_879_048_192, 1_879_048_192));
        assert_eq!(filesystem_magic(clone.as_fd()).unwrap(), filesystem_magic(fd.as_fd()).unwrap());
    }

    #[test]
    fn a_file_in_use_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "x").unwrap();
        let first = std::fs::File::open(&path).unwrap();
        assert!(is_unused(first.as_fd()).unwrap());
        drop(first);
        let (first, second) = (std::fs::File::open(&path).unwrap(), std::fs::File::open(&path).unwrap());
        assert!(!is_unused(first.as_fd()).unwrap());
        drop(second);
        assert!(is_unused(first.as_fd()).unwrap());
    }
}
