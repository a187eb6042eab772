//! Ready layers: listed, mounted once a machine, removed.
//!
//! An EROFS layer is mounted at `<run>/layers/<hex>` when it is first needed and stays, so that every container shares
//! its page cache; containers get detached copies of that mount. Mounting, unmounting and removing hold one lock.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bulkhead_sys::lock::Lock;
use bulkhead_sys::mount::{self, Filesystem, MountAttrFlags};
use bulkhead_sys::root::Root;
use bulkhead_sys::{SysError, tree};
use bulkhead_types::{Digest, ErrorClass, IdMap};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::layer::{Backend, Directory};
use crate::model::Error;
use crate::place::{self, LAYERS, Place};
use crate::scratch::{self, Scratch};
use crate::{layer, uppers::NOBODY};

const LOCK: &str = ".lock";
/// `EROFS_SUPER_MAGIC_V1` of `linux/magic.h`.
const EROFS_MAGIC: u64 = 0xE0F5_E1E2;

fn image_name(diff_id: &Digest) -> String {
    format!("{}.erofs", diff_id.hex())
}

fn exists(dir: BorrowedFd<'_>, name: &str) -> bool {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// How new layers are written here. Asks the kernel, so it does not belong on the start path.
///
/// # Errors
/// If (rootless) the user has no subordinate ids.
pub fn backend(place: &Place) -> Result<Backend, Error> {
    if place.rootless {
        // Stored with the ids of the lowest range, which most containers of this user get.
        let ids = Some(crate::ranges::canonical_map()?);
        return Ok(Backend::Directory(Directory { base: None, ids, user_xattrs: true }));
    }
    let erofs = Filesystem::open("erofs").is_ok();
    Ok(if erofs { Backend::Erofs } else { Backend::Directory(Directory::default()) })
}

/// As [`crate::Store::has_layer`].
#[must_use]
pub fn has(place: &Place, diff_id: &Digest) -> bool {
    let Ok(dir) = place.dir(LAYERS) else { return false };
    exists(dir.as_fd(), &image_name(diff_id)) || exists(dir.as_fd(), diff_id.hex())
}

/// As [`crate::Store::layer_size`].
#[must_use]
pub fn size(place: &Place, diff_id: &Digest) -> u64 {
    place.dir(LAYERS).map_or(0, |dir| layer::size(&Root::new(dir), diff_id))
}

/// As [`crate::Store::layers`].
///
/// # Errors
/// As [`crate::Store::layers`].
pub fn all(place: &Place) -> Result<Vec<Digest>, Error> {
    layer::list(&Root::new(place.dir(LAYERS)?))
}

/// A detached mount of a layer, without an idmap.
///
/// # Errors
/// NotFound if the layer is not there; otherwise the kernel's.
pub fn tree(place: &Place, diff_id: &Digest) -> Result<OwnedFd, Error> {
    let mounts = place.run_dir(LAYERS)?;
    if let Some(copy) = mounted_copy(mounts.as_fd(), diff_id.hex())? {
        return Ok(copy);
    }
    let layers = place.dir(LAYERS)?;
    if exists(layers.as_fd(), diff_id.hex()) {
        return Ok(mount::clone_tree(layers.as_fd(), diff_id.hex(), false)?);
    }
    let _lock = Lock::exclusive(mounts.as_fd(), LOCK)?;
    if !is_mounted(mounts.as_fd(), diff_id.hex())? {
        let point = place::subdirectory(mounts.as_fd(), diff_id.hex())?;
        let image = mount_image(place, layers.as_fd(), diff_id)?;
        mount::attach(image.as_fd(), point.as_fd())?;
    }
    Ok(mount::clone_tree(mounts.as_fd(), diff_id.hex(), false)?)
}

/// (Rootless) a layer's directory whose owners are those of this map. Layers are kept with the owners of the lowest
/// range; for another range a copy `<hex>.<base>` is made once.
///
/// # Errors
/// NotFound if the layer is not there; otherwise the kernel's.
pub fn directory(place: &Place, diff_id: &Digest, ids: &IdMap) -> Result<OwnedFd, Error> {
    let layers = place.dir(LAYERS)?;
    let canonical = crate::ranges::canonical_map()?;
    let stored = || place::existing(layers.as_fd(), diff_id.hex())?.ok_or_else(|| missing(diff_id));
    if *ids == canonical {
        return stored();
    }
    let base = ids.to_host(0).map_err(|error| Error::new(ErrorClass::Invalid, error.to_string()))?;
    let name = format!("{}.{base}", diff_id.hex());
    if let Some(found) = place::existing(layers.as_fd(), &name)? {
        return Ok(found);
    }
    let from = stored()?;
    let scratch = Scratch::new(place, LAYERS)?;
    let to = place::subdirectory(scratch.folder(), scratch.name())?;
    let nobody = ids.to_host(NOBODY).unwrap_or(base);
    let translate = |id| canonical.to_container(id).and_then(|id| ids.to_host(id)).unwrap_or(nobody);
    crate::copy::tree(from.as_fd(), to.as_fd(), &translate)?;
    scratch.commit(&name)?;
    place::existing(layers.as_fd(), &name)?.ok_or_else(|| missing(diff_id))
}

fn missing(diff_id: &Digest) -> Error {
    Error::new(ErrorClass::NotFound, format!("the layer {diff_id} is not in the store; pull or load its image again"))
}

/// A copy of the layer's mount if it is mounted. Asked of the copy and not before it was made: between the two, a
/// removal could have left an empty directory, and an empty layer would look like a good one.
fn mounted_copy(mounts: BorrowedFd<'_>, name: &str) -> Result<Option<OwnedFd>, Error> {
    let copy = match mount::clone_tree(mounts, name, false) {
        Err(error) if error.raw() == Errno::NOENT.raw_os_error() => return Ok(None),
        other => other?,
    };
    Ok((mount::filesystem_magic(copy.as_fd())? == EROFS_MAGIC).then_some(copy))
}

fn is_mounted(mounts: BorrowedFd<'_>, name: &str) -> Result<bool, Error> {
    match mount::is_mount_root(mounts, name) {
        Ok(mounted) => Ok(mounted),
        Err(error) if error.raw() == Errno::NOENT.raw_os_error() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Mounts an EROFS image from its file (Linux 6.12), or over a loop device where the kernel cannot do that.
fn mount_image(place: &Place, layers: BorrowedFd<'_>, diff_id: &Digest) -> Result<OwnedFd, Error> {
    let name = image_name(diff_id);
    let file = match rustix::fs::openat(layers, name.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Err(missing(diff_id)),
        other => other.map_err(|errno| SysError::new("openat", name.as_str(), errno))?,
    };
    let path = place.root.join(LAYERS).join(&name);
    let Some(path) = path.to_str() else {
        return Err(Error::new(ErrorClass::Invalid, "the store's path must be UTF-8; choose another one (--root)"));
    };
    match erofs(path) {
        Ok(mounted) => Ok(mounted),
        Err(error) if error.raw() == Errno::NOTBLK.raw_os_error() => over_loop(file.as_fd()),
        Err(error) => Err(unmountable(diff_id, &error)),
    }
}

/// Mounts an EROFS image over a loop device that frees itself with the mount.
///
/// # Errors
/// The kernel's.
pub fn over_loop(image: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let (_device, path) = mount::loop_device(image)?;
    Ok(erofs(&path)?)
}

fn erofs(source: &str) -> Result<OwnedFd, SysError> {
    let attributes =
        MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    let filesystem = Filesystem::open("erofs")?;
    filesystem.string("source", source)?.flag("ro")?.create()?.mount(attributes)
}

fn unmountable(diff_id: &Digest, error: &SysError) -> Error {
    let message = format!(
        "the layer {diff_id} cannot be mounted: {error}. If the file is damaged (a full disk, a power cut), remove the \
         image and pull it again"
    );
    Error::new(ErrorClass::Internal, message)
}

/// As [`crate::Store::remove_layer`].
///
/// # Errors
/// Conflict if an overlay uses it.
pub fn remove(place: &Place, diff_id: &Digest) -> Result<(), Error> {
    place.settle();
    let layers = place.dir(LAYERS)?;
    let mounts = place.run_dir(LAYERS)?;
    let _lock = Lock::exclusive(mounts.as_fd(), LOCK)?;
    unmount(place, mounts.as_fd(), diff_id.hex(), true)?;
    let name = image_name(diff_id);
    match rustix::fs::openat(&layers, name.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(image) => {
            // The super block of a mounted image keeps the file open, wherever its mounts are.
            if !becomes_unused(image.as_fd())? {
                return Err(in_use(diff_id.hex()));
            }
            tree::remove(layers.as_fd(), name.as_bytes())?;
        }
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(SysError::new("openat", name, errno).into()),
    }
    for name in place::names(layers.as_fd())? {
        if name == diff_id.hex() || name.strip_prefix(diff_id.hex()).is_some_and(|rest| rest.starts_with('.')) {
            tree::remove(layers.as_fd(), name.as_bytes())?;
        }
    }
    Ok(())
}

/// A mount that was just given up, or a process between fork and exec, may hold the image a moment longer.
fn becomes_unused(image: BorrowedFd<'_>) -> Result<bool, Error> {
    for _ in 0..20 {
        if mount::is_unused(image)? {
            return Ok(true);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Ok(mount::is_unused(image)?)
}

fn in_use(hex: &str) -> Error {
    Error::new(ErrorClass::Conflict, format!("the layer {hex} is in use by a container; stop that container first"))
}

fn unmount(place: &Place, mounts: BorrowedFd<'_>, hex: &str, detach: bool) -> Result<(), Error> {
    if is_mounted(mounts, hex)? {
        mount::unmount(&place.run.join(LAYERS).join(hex), detach)
            .map_err(|error| if error.raw() == Errno::BUSY.raw_os_error() { in_use(hex) } else { error.into() })?;
    }
    Ok(tree::remove(mounts, hex.as_bytes())?)
}

/// As [`crate::Store::release`].
///
/// # Errors
/// The first of them, after everything was tried.
pub fn release(place: &Place) -> Result<(), Error> {
    place.settle();
    let mounts = place.run_dir(LAYERS)?;
    let _lock = Lock::exclusive(mounts.as_fd(), LOCK)?;
    let mut first = Ok(());
    for name in place::names(mounts.as_fd())? {
        let unmounted = unmount(place, mounts.as_fd(), &name, false);
        first = first.and(unmounted);
    }
    first = first.and(layer::sweep(&Root::new(place.dir(LAYERS)?)));
    first = first.and(scratch::sweep_kind(place, LAYERS));
    first.and(scratch::sweep_kind(place, place::VOLUMES))
}
