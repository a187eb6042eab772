//! Host paths in containers: detached, idmapped copies of the mounts they are on.
//!
//! What is refused, by device and inode and not by name: our own directories, and the sockets through which an engine
//! is controlled, alone or in a folder that contains them. Whoever reaches such a socket owns the host.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use bulkhead_sys::mount;
use bulkhead_sys::{SysError, root::Root};
use bulkhead_types::{CONTAINER_IDS, ErrorClass, IdExtent, IdMap};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::model::{BindOptions, Bound, Error};
use crate::place::Place;

/// Where engines listen.
const ENGINE_SOCKETS: &[&str] = &[
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/k3s/containerd/containerd.sock",
];

/// Names under which they are found elsewhere.
const SOCKET_NAMES: &[&str] = &["docker.sock", "podman.sock", "containerd.sock", "crio.sock", "buildkitd.sock"];

/// How far up the tree a path is followed.
const MAX_DEPTH: usize = 4096;

/// As [`crate::Store::bind`].
///
/// # Errors
/// As [`crate::Store::bind`].
pub fn bind(place: &Place, source: &Path, ids: &IdMap, options: BindOptions) -> Result<Bound, Error> {
    let object = open(source, options.create)?;
    let stat = stat_of(object.as_fd(), source)?;
    let resolved = std::fs::read_link(mount::descriptor_path(object.as_fd())).map_err(|error| {
        Error::new(ErrorClass::Internal, format!("the path of {} cannot be told: {error}", source.display()))
    })?;
    refuse_engines(place, &object, &stat, &resolved, options.recursive)?;
    let tree = mount::clone_tree(object.as_fd(), "", options.recursive).map_err(|error| {
        Error::new(ErrorClass::Unsupported, format!("{} cannot be bound: {error}", source.display()))
    })?;
    if !place.rootless {
        let map = folder_map(ids, stat.st_uid, stat.st_gid)?;
        idmap(tree.as_fd(), &map, source, options.recursive)?;
    }
    Ok(Bound { mount: tree, file: FileType::from_raw_mode(stat.st_mode) != FileType::Directory, resolved })
}

/// The path is the user's own and trusted: links are followed.
fn open(source: &Path, create: bool) -> Result<OwnedFd, Error> {
    if !source.is_absolute() {
        let message = format!("the bind source {} is not absolute; write the whole path", source.display());
        return Err(Error::new(ErrorClass::Invalid, message));
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match rustix::fs::open(source, flags, Mode::empty()) {
        Ok(object) => Ok(object),
        Err(Errno::NOENT) if create => {
            let text = source.to_str().ok_or_else(|| {
                Error::new(ErrorClass::Invalid, format!("{} is not UTF-8 and cannot be made", source.display()))
            })?;
            Ok(Root::open_trusted(Path::new("/"))?.create_dir_all(text)?)
        }
        Err(Errno::NOENT | Errno::NOTDIR) => Err(Error::new(
            ErrorClass::NotFound,
            format!("the bind source {} does not exist; make it, or use -v, which makes folders", source.display()),
        )),
        Err(errno) => Err(SysError::new("open", source.display().to_string(), errno).into()),
    }
}

fn stat_of(object: BorrowedFd<'_>, path: &Path) -> Result<Stat, Error> {
    rustix::fs::fstat(object).map_err(|errno| SysError::new("fstat", path.display().to_string(), errno).into())
}

const fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// The maps for users and groups of a folder that belongs to `uid` and `gid`: the container's root is the folder's
/// owner, so that what it writes belongs to that person; every other id is itself, but for the owner's number, which
/// has no second meaning. In a folder of root all ids are themselves.
fn folder_map(ids: &IdMap, uid: u32, gid: u32) -> Result<(IdMap, IdMap), Error> {
    Ok((owner_map(ids, uid)?, owner_map(ids, gid)?))
}

fn owner_map(ids: &IdMap, owner: u32) -> Result<IdMap, Error> {
    if owner == 0 {
        return Ok(ids.clone());
    }
    let invalid = |error: bulkhead_types::IdMapError| Error::new(ErrorClass::Invalid, error.to_string());
    let mut extents = vec![IdExtent { container: owner, host: ids.to_host(0).map_err(invalid)?, count: 1 }];
    for extent in &ids.0 {
        let end = extent.container + extent.count;
        // 0 is taken by the owner, and the owner's own number may appear once only.
        let cuts = [
            extent.container.max(1)..owner.clamp(extent.container.max(1), end.max(1)),
            (owner + 1).max(extent.container.max(1))..end,
        ];
        for part in cuts.into_iter().filter(|part| part.start < part.end) {
            let host = extent.host + (part.start - extent.container);
            extents.push(IdExtent { container: part.start, host, count: part.end - part.start });
        }
    }
    debug_assert!(extents.iter().map(|extent| extent.count).sum::<u32>() <= CONTAINER_IDS);
    Ok(IdMap(extents))
}

fn idmap(tree: BorrowedFd<'_>, maps: &(IdMap, IdMap), source: &Path, recursive: bool) -> Result<(), Error> {
    let namespace = bulkhead_sys::idmap::namespace_with_map(&maps.0.to_proc(), &maps.1.to_proc())?;
    let change = mount::Change { idmap: Some(namespace.as_fd()), ..mount::Change::default() };
    mount::change(tree, &change, recursive).map_err(|error| {
        let below = if recursive { " or on a mount below it (try --mount …,bind-recursive=disabled)" } else { "" };
        let reason = if error.raw() == Errno::PERM.raw_os_error() {
            "it is idmapped already"
        } else {
            "the file system on it cannot translate owners (proc, sysfs, nfs, fuse, fat and older kernels cannot)"
        };
        let message = format!(
            "{} cannot be given to a container: {reason}{below}. Copy what the container needs into a volume (bulkhead \
             volume create, bulkhead cp), or keep it on ext4, xfs, btrfs or tmpfs: {error}",
            source.display()
        );
        Error::new(ErrorClass::Unsupported, message)
    })
}

fn refuse_engines(place: &Place, object: &OwnedFd, stat: &Stat, resolved: &Path, recursive: bool) -> Result<(), Error> {
    let is_socket = FileType::from_raw_mode(stat.st_mode) == FileType::Socket;
    let named_like_one = resolved.file_name().is_some_and(|name| SOCKET_NAMES.iter().any(|socket| name == *socket));
    if is_socket && named_like_one {
        return Err(engine_socket(resolved, resolved));
    }
    let above_source = ancestors(object, stat, resolved)?;
    for (own, path) in place.tops().into_iter().zip([&place.root, &place.run]) {
        if above_source.contains(&identity(&stat_of(own, path)?)) {
            return Err(Error::new(
                ErrorClass::Denied,
                format!(
                    "{} is part of the engine's own store {}: whoever writes there controls every container. Use a \
                     volume by its name (-v NAME:/path), or bulkhead cp",
                    resolved.display(),
                    path.display()
                ),
            ));
        }
    }
    let sockets = ENGINE_SOCKETS.iter().map(PathBuf::from).chain(user_sockets());
    for socket in sockets {
        if holds(identity(stat), &socket, stat.st_dev, recursive) {
            return Err(engine_socket(resolved, &socket));
        }
    }
    for path in [&place.root, &place.run] {
        if holds(identity(stat), path, stat.st_dev, recursive) {
            return Err(Error::new(
                ErrorClass::Denied,
                format!(
                    "{} contains the engine's own directory {}: whoever writes there controls every container. Bind the \
                     folders that are needed one by one",
                    resolved.display(),
                    path.display()
                ),
            ));
        }
    }
    Ok(())
}

fn engine_socket(source: &Path, socket: &Path) -> Error {
    let contains = if source == socket { "is" } else { "is or contains" };
    Error::new(
        ErrorClass::Denied,
        format!(
            "{} {contains} a socket that controls a container engine ({}): a container that reaches it can start \
             containers of any kind and so owns the host. Run the program that needs it outside, or bind only the \
             folders it needs",
            source.display(),
            socket.display()
        ),
    )
}

/// Sockets of engines that ordinary users run.
fn user_sockets() -> Vec<PathBuf> {
    let Ok(users) = std::fs::read_dir("/run/user") else { return Vec::new() };
    let homes = users.filter_map(Result::ok).map(|entry| entry.path());
    homes
        .flat_map(|home| {
            ["docker.sock", "podman/podman.sock", "containerd/containerd.sock"].map(|name| home.join(name))
        })
        .collect()
}

/// True if `path` exists and is the object, or is somewhere below it (on the same mount, unless mounts come along).
fn holds(object: (u64, u64), path: &Path, device: u64, recursive: bool) -> bool {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let Ok(found) = rustix::fs::open(path, flags, Mode::empty()) else { return false };
    let Ok(stat) = rustix::fs::fstat(&found) else { return false };
    if !recursive && stat.st_dev != device {
        return false;
    }
    let resolved = std::fs::read_link(mount::descriptor_path(found.as_fd())).unwrap_or_else(|_| path.to_path_buf());
    // What cannot be examined counts as held: never fail open.
    ancestors(&found, &stat, &resolved).map_or(true, |chain| chain.contains(&object))
}

/// Device and inode of an object and of every directory above it, up to the root of the file tree.
fn ancestors(object: &OwnedFd, stat: &Stat, resolved: &Path) -> Result<Vec<(u64, u64)>, Error> {
    let mut chain = vec![identity(stat)];
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let step = |from: BorrowedFd<'_>, path: &Path| {
        rustix::fs::openat(from, path, flags, Mode::empty())
            .map_err(|errno| Error::from(SysError::new("openat", resolved.display().to_string(), errno)))
    };
    let mut here = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        step(object.as_fd(), Path::new("."))?
    } else {
        step(object.as_fd(), resolved.parent().unwrap_or(Path::new("/")))?
    };
    for _ in 0..MAX_DEPTH {
        let now = identity(&stat_of(here.as_fd(), resolved)?);
        let above = step(here.as_fd(), Path::new(".."))?;
        if !chain.contains(&now) {
            chain.push(now);
        }
        if identity(&stat_of(above.as_fd(), resolved)?) == now {
            return Ok(chain);
        }
        here = above;
    }
    Err(SysError::new("openat", resolved.display().to_string(), Errno::NAMETOOLONG).into())
}

#[cfg(test)]
mod tests {
    use bulkhead_types::IdRange;

    use super::*;

    #[test]
    fn owner_maps_are_one_to_one() {
        let ids = IdRange { base: 1_000_000, count: 65_536 }.container_map();
        for owner in [1, 33, 1000, 65_534, 65_535, 65_536, 4_000_000] {
            let map = owner_map(&ids, owner).unwrap();
            assert_eq!(map.to_host(owner), Ok(1_000_000), "the owner is root inside");
            assert!(map.to_host(0).is_err(), "root of the host is nobody inside");
            assert_eq!(map.to_container(1_000_000 + 5), Ok(if owner == 5 { 0 } else { 5 }));
            let mut seen = std::collections::BTreeSet::new();
            for extent in &map.0 {
                for id in extent.host..extent.host + extent.count {
                    assert!(seen.insert(id), "host id {id} twice for owner {owner}");
                }
            }
        }
        assert_eq!(owner_map(&ids, 0).unwrap(), ids);
    }
}
