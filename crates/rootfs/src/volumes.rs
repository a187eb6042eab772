//! Volumes: `volumes/<name>/{data/,volume.json}`. Ids on disk are the containers' own, so containers with different
//! ranges share a volume through differently idmapped mounts.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use bulkhead_sys::lock::Lock;
use bulkhead_sys::mount::{self, Filesystem, MountAttrFlags};
use bulkhead_sys::root::{Durability, Root};
use bulkhead_sys::{SysError, tree};
use bulkhead_types::{ContainerName, ErrorClass, IdMap};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::model::{BindOptions, Bound, Error, Volume};
use crate::place::{self, Place, VOLUMES};
use crate::scratch::Scratch;
use crate::{binds, copy, uppers};

const RECORD: &str = "volume.json";
const DATA: &str = "data";
const LOCK: &str = "lock";
/// Exists while the first content is copied; found later, the copy was interrupted.
const POPULATING: &str = "populating";

/// What a volume's options ask for.
enum Driver {
    /// A directory of ours.
    Directory,
    /// `type=tmpfs`: the options for the file system.
    Memory(Vec<(String, String)>),
    /// `type=none, o=bind, device=PATH`.
    Bind(PathBuf),
}

/// As [`crate::Store::create_volume`].
///
/// # Errors
/// As [`crate::Store::create_volume`].
pub fn create(
    place: &Place,
    name: Option<&str>,
    labels: BTreeMap<String, String>,
    options: BTreeMap<String, String>,
) -> Result<Volume, Error> {
    driver(&options)?;
    let anonymous = name.is_none();
    let name = match name {
        Some(name) => checked(name)?.to_owned(),
        None => bulkhead_sys::random::bytes32()?.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if let Some(existing) = get(place, &name)? {
        return Ok(existing);
    }
    let volume = Volume { name, anonymous, created_at: now(), labels, options };
    let scratch = Scratch::new(place, VOLUMES)?;
    let dir = place::subdirectory(scratch.folder(), scratch.name())?;
    rustix::fs::mkdirat(&dir, DATA, Mode::from_raw_mode(0o755))
        .and_then(|()| rustix::fs::chmodat(&dir, DATA, Mode::from_raw_mode(0o755), AtFlags::empty()))
        .map_err(|errno| SysError::new("mkdirat", DATA, errno))?;
    let record = serde_json::to_vec(&volume).map_err(|error| Error::new(ErrorClass::Internal, error.to_string()))?;
    Root::new(dir).replace(RECORD, &record, Durability::Process)?;
    scratch.commit(&volume.name)?;
    // Another process may have been quicker; then its volume is the one.
    get(place, &volume.name)?.ok_or_else(|| missing(&volume.name))
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

fn checked(name: &str) -> Result<&str, Error> {
    match name.parse::<ContainerName>() {
        Ok(_) if !name.starts_with('/') => Ok(name),
        _ => Err(Error::new(
            ErrorClass::Invalid,
            format!("the volume name {name:?} is not allowed: only [a-zA-Z0-9][a-zA-Z0-9_.-]+, at most 128 characters"),
        )),
    }
}

fn missing(name: &str) -> Error {
    Error::new(ErrorClass::NotFound, format!("there is no volume {name}; make it with: bulkhead volume create {name}"))
}

fn unsupported(what: &str) -> Error {
    let message = format!(
        "the volume option {what} is not supported; a volume is a local directory (no options), memory \
         (type=tmpfs, o=size=…,mode=…,uid=…,gid=…,nr_inodes=…) or a folder of the host (type=none, o=bind, device=PATH)"
    );
    Error::new(ErrorClass::Unsupported, message)
}

fn driver(options: &BTreeMap<String, String>) -> Result<Driver, Error> {
    if let Some(unknown) = options.keys().find(|key| !matches!(key.as_str(), "type" | "o" | "device")) {
        return Err(unsupported(unknown));
    }
    let words: Vec<&str> =
        options.get("o").map_or(Vec::new(), |text| text.split(',').filter(|w| !w.is_empty()).collect());
    let device = options.get("device").map(String::as_str);
    match options.get("type").map(String::as_str) {
        None if options.is_empty() => Ok(Driver::Directory),
        Some("tmpfs") => memory(&words),
        Some("none") | None => match (words.as_slice(), device) {
            (["bind" | "rbind"], Some(path)) if path.starts_with('/') => Ok(Driver::Bind(PathBuf::from(path))),
            _ => Err(unsupported(&format!("o={}", words.join(",")))),
        },
        Some(other) => Err(unsupported(&format!("type={other}"))),
    }
}

fn memory(words: &[&str]) -> Result<Driver, Error> {
    let mut settings = Vec::new();
    for word in words {
        match word.split_once('=') {
            Some((key @ ("size" | "mode" | "uid" | "gid" | "nr_inodes"), value)) => {
                settings.push((key.to_owned(), value.to_owned()));
            }
            _ => return Err(unsupported(&format!("o={word}"))),
        }
    }
    Ok(Driver::Memory(settings))
}

fn open(place: &Place, name: &str) -> Result<Option<OwnedFd>, Error> {
    if checked(name).is_err() {
        return Ok(None);
    }
    Ok(place::existing(place.dir(VOLUMES)?.as_fd(), name)?)
}

/// As [`crate::Store::volume`].
///
/// # Errors
/// As [`crate::Store::volume`].
pub fn get(place: &Place, name: &str) -> Result<Option<Volume>, Error> {
    let Some(dir) = open(place, name)? else { return Ok(None) };
    let Some(record) = uppers::read_file(dir.as_fd(), RECORD, 1 << 20)? else { return Ok(None) };
    serde_json::from_slice(&record).map(Some).map_err(|error| {
        let message = format!("the record of the volume {name} is damaged ({error}); its data is still there");
        Error::new(ErrorClass::Internal, message)
    })
}

/// As [`crate::Store::volumes`].
///
/// # Errors
/// As [`crate::Store::volumes`].
pub fn all(place: &Place) -> Result<Vec<Volume>, Error> {
    let names = place::names(place.dir(VOLUMES)?.as_fd())?;
    names.iter().filter_map(|name| get(place, name).transpose()).collect()
}

/// As [`crate::Store::volume_path`].
#[must_use]
pub fn path(place: &Place, name: &str) -> PathBuf {
    place.root.join(VOLUMES).join(name).join(DATA)
}

/// As [`crate::Store::volume_size`].
///
/// # Errors
/// As [`crate::Store::volume_size`].
pub fn size(place: &Place, name: &str) -> Result<u64, Error> {
    let volume = get(place, name)?.ok_or_else(|| missing(name))?;
    let data = match driver(&volume.options)? {
        Driver::Directory => data_of(place, name)?,
        Driver::Memory(_) => match place::existing(place.run_dir(VOLUMES)?.as_fd(), name)? {
            Some(mounted) => mounted,
            None => return Ok(0),
        },
        // The host's, not ours.
        Driver::Bind(_) => return Ok(0),
    };
    Ok(tree::usage(data.as_fd())?.bytes)
}

fn data_of(place: &Place, name: &str) -> Result<OwnedFd, Error> {
    let dir = open(place, name)?.ok_or_else(|| missing(name))?;
    place::existing(dir.as_fd(), DATA)?.ok_or_else(|| missing(name))
}

/// As [`crate::Store::remove_volume`].
///
/// # Errors
/// As [`crate::Store::remove_volume`].
pub fn remove(place: &Place, name: &str) -> Result<(), Error> {
    open(place, name)?.ok_or_else(|| missing(name))?;
    let mounts = place.run_dir(VOLUMES)?;
    if place::existing(mounts.as_fd(), name)?.is_some() {
        if mount::is_mount_root(mounts.as_fd(), name)? {
            mount::unmount(&place.run.join(VOLUMES).join(name), true)?;
        }
        tree::remove(mounts.as_fd(), name.as_bytes())?;
    }
    // Out of sight first: a volume that is half removed must not be found.
    let scratch = Scratch::new(place, VOLUMES)?;
    rustix::fs::renameat(place.dir(VOLUMES)?, name, scratch.folder(), scratch.name())
        .map_err(|errno| SysError::new("renameat", name, errno))?;
    Ok(tree::remove(scratch.folder(), scratch.name().as_bytes())?)
}

/// As [`crate::Store::mount_volume`].
///
/// # Errors
/// As [`crate::Store::mount_volume`].
pub fn mount(
    place: &Place,
    name: &str,
    subpath: Option<&str>,
    ids: &IdMap,
    populate: Option<(BorrowedFd<'_>, &str)>,
) -> Result<Bound, Error> {
    let volume = get(place, name)?.ok_or_else(|| missing(name))?;
    let data = match driver(&volume.options)? {
        Driver::Directory => data_of(place, name)?,
        Driver::Memory(settings) => memory_of(place, name, &settings, ids)?,
        Driver::Bind(device) => {
            let device = subpath.map_or(device.clone(), |below| device.join(below.trim_start_matches('/')));
            return binds::bind(place, &device, ids, BindOptions { recursive: true, create: false });
        }
    };
    if place.rootless && volume.options.is_empty() {
        move_to_range(place, name, ids)?;
    }
    if let Some((root, source)) = populate {
        fill(place, name, data.as_fd(), ids, (root, source))?;
    }
    let object = match subpath {
        Some(below) => open_below(name, data.as_fd(), below)?,
        None => data,
    };
    bound(place, name, &object, subpath, ids)
}

fn bound(place: &Place, name: &str, object: &OwnedFd, subpath: Option<&str>, ids: &IdMap) -> Result<Bound, Error> {
    let stat = rustix::fs::fstat(object).map_err(|errno| SysError::new("fstat", name, errno))?;
    let tree = mount::clone_tree(object.as_fd(), "", false)?;
    if !place.rootless {
        place.idmap(tree.as_fd(), ids, false)?;
    }
    let file = FileType::from_raw_mode(stat.st_mode) != FileType::Directory;
    let resolved = subpath.map_or_else(|| path(place, name), |below| path(place, name).join(Path::new(below)));
    Ok(Bound { mount: tree, file, resolved })
}

/// A path in a volume, which a container may have filled with links: none may lead out.
fn open_below(name: &str, data: BorrowedFd<'_>, below: &str) -> Result<OwnedFd, Error> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match rustix::fs::openat2(data, below, flags, Mode::empty(), resolve) {
        Ok(object) => Ok(object),
        Err(Errno::NOENT | Errno::NOTDIR) => Err(Error::new(
            ErrorClass::NotFound,
            format!("there is no {below} in the volume {name}; make it from a container that has the whole volume"),
        )),
        Err(Errno::XDEV | Errno::LOOP) => Err(Error::new(
            ErrorClass::Invalid,
            format!("the path {below} leads out of the volume {name}; give a path inside without a leading slash"),
        )),
        Err(errno) => Err(SysError::new("openat2", below, errno).into()),
    }
}

/// The mount of a volume in memory, made at its first use and kept.
fn memory_of(place: &Place, name: &str, settings: &[(String, String)], ids: &IdMap) -> Result<OwnedFd, Error> {
    let mounts = place.run_dir(VOLUMES)?;
    let _lock = Lock::exclusive(mounts.as_fd(), ".lock")?;
    let point = place::subdirectory(mounts.as_fd(), name)?;
    if !mount::is_mount_root(mounts.as_fd(), name)? {
        let filesystem = Filesystem::open("tmpfs")?;
        if !settings.iter().any(|(key, _)| key == "mode") {
            filesystem.string("mode", "0755")?;
        }
        for (key, value) in settings {
            filesystem.string(key, value).map_err(|error| Error::new(ErrorClass::Invalid, error.to_string()))?;
        }
        let made = filesystem.create()?.mount(MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID)?;
        if place.rootless {
            let owner = ids.to_host(0).map_err(|error| Error::new(ErrorClass::Invalid, error.to_string()))?;
            crate::copy::change_owners(made.as_fd(), &|_| owner)?;
        }
        mount::attach(made.as_fd(), point.as_fd())?;
    }
    // Opened again: the old descriptor shows what is below the mount.
    place::existing(mounts.as_fd(), name)?.ok_or_else(|| missing(name))
}

/// Copies the image's content into an empty volume, as Docker does.
fn fill(
    place: &Place,
    name: &str,
    data: BorrowedFd<'_>,
    ids: &IdMap,
    (root, source): (BorrowedFd<'_>, &str),
) -> Result<(), Error> {
    let dir = open(place, name)?.ok_or_else(|| missing(name))?;
    if !is_empty(data)? && !interrupted(&dir) {
        return Ok(());
    }
    let image = Root::new(root.try_clone_to_owned().map_err(|error| SysError::new("dup", name, error))?);
    let Ok(from) = image.open(source, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) else { return Ok(()) };
    let _lock = Lock::exclusive(dir.as_fd(), LOCK)?;
    if interrupted(&dir) {
        tree::clear(data)?;
    } else if !is_empty(data)? {
        return Ok(());
    }
    let record = Root::new(dir);
    record.replace(POPULATING, b"", Durability::Process)?;
    // The mounted root shows host ids; the volume keeps the container's.
    let rootless = place.rootless;
    let translate = |id| if rootless { id } else { ids.to_container(id).unwrap_or(65_534) };
    copy::tree(from.as_fd(), data, &translate)?;
    Ok(tree::remove(record.fd(), POPULATING.as_bytes())?)
}

fn interrupted(dir: &OwnedFd) -> bool {
    rustix::fs::accessat(dir, POPULATING, rustix::fs::Access::EXISTS, AtFlags::empty()).is_ok()
}

fn is_empty(data: BorrowedFd<'_>) -> Result<bool, Error> {
    let error = |errno| SysError::new("getdents", "volume", errno);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(data, ".", flags, Mode::empty()).map_err(error)?;
    for entry in rustix::fs::Dir::new(dir).map_err(error)? {
        let entry = entry.map_err(error)?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// (Rootless) a volume carries the ids of one range; it moves to another one only when nobody holds the first.
fn move_to_range(place: &Place, name: &str, ids: &IdMap) -> Result<(), Error> {
    let dir = open(place, name)?.ok_or_else(|| missing(name))?;
    let _lock = Lock::exclusive(dir.as_fd(), LOCK)?;
    let stored = uppers::stored_map(dir.as_fd())?;
    if let Some(base) = stored.filter(|map| map != ids).and_then(|map| map.to_host(0).ok()) {
        let holders = crate::ranges::all(place)?;
        if let Some((holder, _)) = holders.iter().find(|(_, range)| range.base == base) {
            let message = format!(
                "the volume {name} belongs to the container {holder} at the moment; without root, containers with \
                 different id ranges cannot share a volume: remove that container first, or run as root"
            );
            return Err(Error::new(ErrorClass::Conflict, message));
        }
    }
    uppers::shift(dir.as_fd(), DATA, ids)
}
