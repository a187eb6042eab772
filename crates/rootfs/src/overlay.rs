//! A container's root: an overlay of idmapped layers and its own writable part.
//!
//! What is on disk carries the container's ids (0 to 65535), below and above alike; the idmap on the layers' detached
//! copies turns them into the host ids of the container's range. On the start path: nothing is synced, and a layer
//! that is mounted already costs three calls.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bulkhead_sys::SysError;
use bulkhead_sys::mount;
use bulkhead_types::{Digest, ErrorClass, IdMap};
use rustix::fs::{AtFlags, Gid, Mode, Uid};
use rustix::io::Errno;

use crate::model::Error;
use crate::place::{self, Place};
use crate::recipe::{Recipe, Writable};
use crate::{shelf, uppers};

const SKELETON: &str = "skeleton";

/// As [`crate::Store::mount`].
///
/// # Errors
/// As [`crate::Store::mount`].
pub fn mount(place: &Place, id: &str, layers: &[Digest], ids: &IdMap) -> Result<OwnedFd, Error> {
    if place.rootless {
        return mount_shifted(place, id, layers, ids);
    }
    let recipe = prepare(place, id, layers, ids)?;
    let root = recipe.assemble(place).map_err(|error| refused(place, &error))?;
    place.put_aside(recipe.into_spent());
    Ok(root)
}

/// Idmapped copies of everything.
///
/// # Errors
/// If a layer is missing or a file system cannot be idmapped.
pub fn prepare(place: &Place, id: &str, layers: &[Digest], ids: &IdMap) -> Result<Recipe, Error> {
    let base = ids.to_host(0).map_err(|error| Error::new(ErrorClass::Invalid, error.to_string()))?;
    let upper = uppers::open(place, id)?;
    let lowers = lower_trees(place, layers, None)?;
    adopt_root(upper.as_fd(), lowers.first().map_or(upper.as_fd(), AsFd::as_fd))?;
    let upper = mount::clone_tree(upper.as_fd(), "", false)?;
    for tree in lowers.iter().chain([&upper]) {
        place.idmap(tree.as_fd(), ids, false).map_err(|error| not_idmappable(place, &error))?;
    }
    Ok(Recipe { lowers, writable: Some(writable(upper)?), owner: Some(base) })
}

/// Without idmapped mounts: everything on disk carries the ids of the container's range.
fn mount_shifted(place: &Place, id: &str, layers: &[Digest], ids: &IdMap) -> Result<OwnedFd, Error> {
    let upper = uppers::open(place, id)?;
    uppers::shift(upper.as_fd(), "up", ids)?;
    let lowers = lower_trees(place, layers, Some(ids))?;
    adopt_root(upper.as_fd(), lowers.first().map_or(upper.as_fd(), AsFd::as_fd))?;
    let recipe = Recipe { lowers, writable: Some(writable(upper)?), owner: None };
    recipe.assemble(place).map_err(|error| refused(place, &error))
}

/// The layers and the skeleton, the top one first: detached mounts, or with a map directories with its ids.
fn lower_trees(place: &Place, layers: &[Digest], shifted: Option<&IdMap>) -> Result<Vec<OwnedFd>, Error> {
    let mut lowers = Vec::with_capacity(layers.len() + 1);
    for layer in from_top(layers) {
        lowers.push(match shifted {
            Some(ids) => shelf::directory(place, layer, ids)?,
            None => shelf::tree(place, layer)?,
        });
    }
    lowers.push(skeleton(place, shifted)?);
    Ok(lowers)
}

/// Opens the upper and work directories.
fn writable(top: OwnedFd) -> Result<Writable, Error> {
    let upper = top.as_fd();
    let incomplete = || Error::new(ErrorClass::NotFound, "the container's writable part is not complete; remove it");
    let up = place::existing(upper, "up")?.ok_or_else(incomplete)?;
    if let Some(work) = place::existing(upper, uppers::WORK)? {
        return Ok(Writable { top, up, work, never_sync: false });
    }
    let work = place::existing(upper, uppers::SCRAP)?.ok_or_else(incomplete)?;
    // The kernel's mark that an earlier mount did not sync. We knew that when we chose it: a process that was killed
    // loses nothing, and after a power cut the container is removed, not started.
    bulkhead_sys::tree::clear(work.as_fd())?;
    Ok(Writable { top, up, work, never_sync: true })
}

/// The layers alone, merged, read-only and without an idmap: what a container's changes are measured against.
///
/// # Errors
/// If a layer is missing or the kernel refuses.
pub fn mount_lower(place: &Place, layers: &[Digest]) -> Result<OwnedFd, Error> {
    let canonical = if place.rootless { Some(crate::ranges::canonical_map()?) } else { None };
    let mut lowers = lower_trees(place, layers, canonical.as_ref())?;
    if lowers.len() == 1 {
        // The kernel wants two where there is no upper one.
        return lowers.pop().ok_or_else(|| Error::new(ErrorClass::Internal, "no layer to mount"));
    }
    let recipe = Recipe { lowers, writable: None, owner: None };
    recipe.assemble(place).map_err(|error| refused(place, &error))
}

/// Each layer once, the top one first. An image may name a layer twice (empty ones are common); whatever the lower one
/// of two equal layers holds, the upper one holds too, and the kernel refuses to take one directory twice.
fn from_top(layers: &[Digest]) -> Vec<&Digest> {
    let mut order: Vec<&Digest> = Vec::with_capacity(layers.len());
    for layer in layers.iter().rev() {
        if !order.contains(&layer) {
            order.push(layer);
        }
    }
    order
}

/// The lowest layer of every container: the places where mounts are attached. Where an image lacks them they need not
/// be made in each container's upper directory, and they are no change of the container.
fn skeleton(place: &Place, shifted: Option<&IdMap>) -> Result<OwnedFd, Error> {
    let [root, _] = place.tops();
    let Some(owner) = shifted.map(|ids| ids.to_host(0)) else {
        if place::existing(root, SKELETON)?.is_none() {
            make_skeleton(place, SKELETON, 0)?;
        }
        return Ok(mount::clone_tree(root, SKELETON, false)?);
    };
    let owner = owner.map_err(|error| Error::new(ErrorClass::Invalid, error.to_string()))?;
    let name = format!("{SKELETON}.{owner}");
    if place::existing(root, &name)?.is_none() {
        make_skeleton(place, &name, owner)?;
    }
    place::existing(root, &name)?.ok_or_else(|| Error::new(ErrorClass::Internal, format!("{name} vanished")))
}

fn make_skeleton(place: &Place, final_name: &str, owner: u32) -> Result<(), Error> {
    let [root, _] = place.tops();
    let random = bulkhead_sys::random::bytes32()?;
    let name = format!(".{SKELETON}.{:02x}{:02x}{:02x}{:02x}", random[0], random[1], random[2], random[3]);
    let made = bulkhead_sys::root::Root::new(place::subdirectory(root, &name)?);
    for directory in ["dev", "proc", "sys", "etc"] {
        made.create_dir_all(directory)?;
    }
    for file in ["etc/hosts", "etc/hostname", "etc/resolv.conf"] {
        made.create_file(file)?;
    }
    rustix::fs::chmodat(root, name.as_str(), Mode::from_raw_mode(0o755), AtFlags::empty())
        .map_err(|errno| SysError::new("chmodat", SKELETON, errno))?;
    if owner != 0 {
        crate::copy::change_owners(made.fd(), &|_| owner)?;
    }
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(root, name.as_str(), root, final_name, flags) {
        Ok(()) => Ok(()),
        // Another process was quicker.
        Err(Errno::EXIST) => Ok(bulkhead_sys::tree::remove(root, name.as_bytes())?),
        Err(errno) => Err(SysError::new("renameat2", SKELETON, errno).into()),
    }
}

/// Gives a fresh upper directory the owner and mode of the image's root, which it will stand for.
fn adopt_root(upper: BorrowedFd<'_>, top_layer: BorrowedFd<'_>) -> Result<(), Error> {
    let stat = |dir, name| {
        rustix::fs::statat(dir, name, AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| SysError::new("fstatat", name, errno))
    };
    if stat(upper, "up")?.st_mode & 0o7777 != 0 {
        return Ok(());
    }
    let image = stat(top_layer, "")?;
    let owner = (Uid::from_raw(image.st_uid), Gid::from_raw(image.st_gid));
    rustix::fs::chownat(upper, "up", Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| SysError::new("fchownat", "up", errno))?;
    // `up` was made by us and no container has seen it: it is no link.
    rustix::fs::chmodat(upper, "up", Mode::from_raw_mode(image.st_mode & 0o7777), AtFlags::empty())
        .map_err(|errno| SysError::new("fchmodat", "up", errno).into())
}

fn not_idmappable(place: &Place, error: &SysError) -> Error {
    let message = format!(
        "the file system of {} cannot be idmapped: {error}. Keep the store on ext4, xfs or btrfs of a kernel of 5.15 \
         or newer (--root DIR)",
        place.root.display()
    );
    Error::new(ErrorClass::Unsupported, message)
}

fn refused(place: &Place, error: &SysError) -> Error {
    let message = format!(
        "the kernel refused the container's overlay: {error}. The store ({}) must be on a file system that can carry \
         an overlay's upper directory (ext4, xfs, btrfs, tmpfs; not another overlay, nfs or fat)",
        place.root.display()
    );
    Error::new(ErrorClass::Unsupported, message)
}
