//! Putting an overlay together, in the way that this kernel can.
//!
//! | kernel | how |
//! |---|---|
//! | 6.15 and newer | layers are detached mounts, given by descriptor |
//! | 6.5 to 6.14 | detached mounts are refused as layers: they are attached in a mount namespace of a short-lived thread |
//! | 5.19 to 6.4 | also, all layers are one text of at most a page |

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use bulkhead_sys::SysError;
use bulkhead_sys::mount::{self, Filesystem, MountAttrFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::place::Place;

/// What an overlay is made of.
pub struct Recipe {
    /// The top one first.
    pub lowers: Vec<OwnedFd>,
    /// Without it, the overlay is read-only.
    pub writable: Option<Writable>,
    /// The host id of the container's root where layers are idmapped.
    pub owner: Option<u32>,
}

/// The directories that an overlay writes to.
pub struct Writable {
    /// The mount (or, where layers are directories, the directory) that holds both.
    pub top: OwnedFd,
    /// Changes.
    pub up: OwnedFd,
    /// Work in progress.
    pub work: OwnedFd,
    /// `volatile`: nothing is synced, also not at the end.
    pub never_sync: bool,
}

/// How the layers are named to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// One by one (`lowerdir+`).
    Each,
    /// In one text (`lowerdir`).
    Joined,
}

impl Recipe {
    /// A detached mount of the overlay.
    ///
    /// # Errors
    /// The kernel's, with its message, of the way that the newest kernels know.
    pub fn assemble(&self, place: &Place) -> Result<OwnedFd, SysError> {
        let first = match self.build(place.rootless, Naming::Each) {
            Err(error) if error.raw() == Errno::INVAL.raw_os_error() => error,
            other => return other,
        };
        if place.rootless {
            return self.build(true, Naming::Joined).map_err(|_| first);
        }
        let again = |naming| self.build_attached(&place.run, naming);
        again(Naming::Each).or_else(|_| again(Naming::Joined)).map_err(|_| first)
    }

    /// As [`Recipe::build`], with all layers attached where only this call sees them.
    ///
    /// # Errors
    /// The kernel's.
    pub fn build_attached(&self, scene: &Path, naming: Naming) -> Result<OwnedFd, SysError> {
        mount::with_private_mounts(|| {
            let memory = Filesystem::open("tmpfs")?.create()?.mount(MountAttrFlags::empty())?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let target = rustix::fs::open(scene, flags, Mode::empty())
                .map_err(|errno| SysError::new("open", scene.display().to_string(), errno))?;
            mount::attach(memory.as_fd(), target.as_fd())?;
            let trees = self.lowers.iter().chain(self.writable.as_ref().map(|writable| &writable.top));
            for (number, tree) in trees.enumerate() {
                let point = crate::place::subdirectory(memory.as_fd(), &number.to_string())?;
                mount::attach(tree.as_fd(), point.as_fd())?;
            }
            self.build(false, naming)
        })?
    }

    /// What can be closed when the overlay stands.
    pub fn into_spent(self) -> impl Iterator<Item = OwnedFd> {
        self.lowers.into_iter().chain(self.writable.map(|writable| writable.top))
    }

    fn build(&self, user_xattrs: bool, naming: Naming) -> Result<OwnedFd, SysError> {
        let filesystem = Filesystem::open("overlay")?;
        // Stated and not left to the kernel's build: no data outside the upper directory (metacopy), no path in an
        // attribute that is followed (redirect), inode numbers of one device (xino).
        for (key, value) in [("metacopy", "off"), ("redirect_dir", "nofollow"), ("index", "off"), ("xino", "auto")] {
            filesystem.string(key, value)?;
        }
        if user_xattrs {
            filesystem.flag("userxattr")?;
        }
        match naming {
            Naming::Each => {
                self.lowers.iter().try_for_each(|lower| directory(&filesystem, "lowerdir+", lower.as_fd()))?;
            }
            Naming::Joined => {
                let names: Vec<String> =
                    self.lowers.iter().map(|lower| mount::descriptor_path(lower.as_fd())).collect();
                filesystem.string("lowerdir", &names.join(":"))?;
            }
        }
        let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
        match &self.writable {
            Some(writable) => {
                directory(&filesystem, "upperdir", writable.up.as_fd())?;
                directory(&filesystem, "workdir", writable.work.as_fd())?;
                if writable.never_sync {
                    filesystem.flag("volatile")?;
                }
            }
            None => attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY,
        }
        match self.owner {
            Some(owner) => filesystem.create_as(owner, owner)?,
            None => filesystem.create()?,
        };
        filesystem.mount(attributes)
    }
}

/// By descriptor (Linux 6.13), else by the descriptor's name in `/proc`.
fn directory(filesystem: &Filesystem, key: &str, dir: BorrowedFd<'_>) -> Result<(), SysError> {
    match filesystem.descriptor(key, dir) {
        Err(error) if error.raw() == Errno::INVAL.raw_os_error() => {
            filesystem.string(key, &mount::descriptor_path(dir)).map(drop)
        }
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_types::IdRange;

    use super::*;
    use crate::testing::{self, Kept, inside};

    #[test]
    fn the_ways_of_older_kernels_give_the_same_overlay_and_leave_no_mount() {
        if !testing::root() {
            return;
        }
        let site = testing::site();
        let range = IdRange { base: 0x7300_0000, count: 65_536 };
        let layers = [1, 2].map(|seed| {
            site.layer(Kept::Erofs, seed, |tree| std::fs::write(tree.join(format!("f{seed}")), "x").unwrap())
        });
        let place = site.place();
        let mounts =
            || std::fs::read_to_string("/proc/self/mountinfo").unwrap().matches(site.path().to_str().unwrap()).count();
        for naming in [Naming::Each, Naming::Joined] {
            let id = format!("{naming:?}");
            crate::uppers::create(&place, &id, crate::uppers::WORK).unwrap();
            let recipe = crate::overlay::prepare(&place, &id, &layers, &range.container_map()).unwrap();
            let before = mounts();
            let root = recipe.build_attached(&place.run, naming).unwrap();
            assert_eq!(mounts(), before);
            drop(recipe);
            assert_eq!(inside(&root, range, "echo y > own; cat f1 f2 own; stat -c %u own f1"), "xxy\n0\n0\n");
        }
    }
}
