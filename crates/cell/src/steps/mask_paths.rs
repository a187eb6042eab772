//! Covers the masked paths with an empty file or directory of our own making.
//!
//! *Why here:* after every mount, or one could uncover a path. *Attack:* what is bound over a masked path must not be the
//! container's: a `/dev/null` that is a link turns the mask into a mount of its target (CVE-2025-31133).

use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_sys::mount::{self, Change, Filesystem, MountAttrFlags};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let mut targets = Vec::with_capacity(scene.plan.masked_paths.len());
    for (index, path) in scene.plan.masked_paths.iter().enumerate() {
        let found = existing(scene, path).and_then(|target| target.map(|target| Target::of(index, target)).transpose());
        targets.extend(found.map_err(|trouble| trouble.at(index))?);
    }
    let covers = Covers::make()?;
    // The covers' own mount has to be attached before parts of it can be bound (until Linux 6.15). It disappears under
    // the first directory's cover.
    if let Some(first) = targets.iter().find(|target| target.directory) {
        mount::attach(covers.mount.as_fd(), first.place.as_fd())?;
    }
    for target in targets {
        let cover = if target.directory { &covers.directory } else { &covers.file };
        let attached = mount::clone_tree(cover.as_fd(), "", false)
            .and_then(|copy| mount::attach(copy.as_fd(), target.place.as_fd()));
        attached.map_err(|error| Trouble::from(error).at(target.index))?;
    }
    Ok(())
}

/// A path that exists.
struct Target {
    index: usize,
    place: OwnedFd,
    directory: bool,
}

impl Target {
    fn of(index: usize, place: OwnedFd) -> Result<Self, Trouble> {
        let stat = rustix::fs::fstat(&place).map_err(|errno| Trouble::new("fstat", "masked path", errno))?;
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        Ok(Self { index, place, directory })
    }
}

/// The object at a path that holds no link; `None` if it does not exist.
pub(super) fn existing(scene: &Scene<'_>, path: &str) -> Result<Option<OwnedFd>, Trouble> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(scene.root()?.fd(), path, flags, Mode::empty(), resolve) {
        Ok(object) => Ok(Some(object)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(Trouble::new("openat2", path, errno)),
    }
}

/// An empty directory and an empty file of one read-only tmpfs that nobody else can reach.
struct Covers {
    mount: OwnedFd,
    directory: OwnedFd,
    file: OwnedFd,
}

impl Covers {
    fn make() -> Result<Self, Trouble> {
        let filesystem = Filesystem::open("tmpfs")?;
        filesystem.string("size", "4k")?.string("nr_inodes", "4")?.string("mode", "555")?.create()?;
        let hard =
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let mount = filesystem.mount(hard)?;
        let fail = |errno| Trouble::new("openat", "cover", errno);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&mount, "file", flags, Mode::from_raw_mode(0o444)).map_err(fail)?;
        rustix::fs::mkdirat(&mount, "directory", Mode::from_raw_mode(0o555)).map_err(fail)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(&mount, "directory", flags, Mode::empty()).map_err(fail)?;
        let read_only = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::default() };
        mount::change(mount.as_fd(), &read_only, false)?;
        Ok(Self { mount, directory, file })
    }
}
