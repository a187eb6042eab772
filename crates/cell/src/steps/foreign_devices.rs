//! The six standard nodes, those of the caller, and the usual links, below the `/dev` that the caller mounts.
//!
//! *Why here:* on the mounted tmpfs, while the host's nodes can still be bound where none may be made. A `/dev` that the
//! caller binds from the host is the caller's own affair and stays as it is.

use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_plan::foreign::{Foreign, ForeignDevice};
use bulkhead_plan::opened::standard_devices;
use bulkhead_sys::mount;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;

use crate::binds;
use crate::devices::{LINKS, bind_host_node};
use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let Some(foreign) = scene.plan.foreign.as_deref() else { return Ok(()) };
    if !sets_up_dev(foreign) {
        return Ok(());
    }
    // What the caller lists wins over what everybody has.
    let standard = standard_devices();
    for device in standard.iter().filter(|one| foreign.devices.iter().all(|other| other.path != one.path)) {
        let wanted = ForeignDevice {
            path: device.path.clone(),
            kind: device.kind,
            major: Some(i64::from(device.major)),
            minor: Some(i64::from(device.minor)),
            mode: Some(device.mode),
            uid: None,
            gid: None,
        };
        make(scene, &wanted)?;
    }
    for (index, device) in foreign.devices.iter().enumerate() {
        make(scene, device).map_err(|trouble| trouble.at(index))?;
    }
    links(scene)
}

/// False if the caller binds the host's `/dev`.
fn sets_up_dev(foreign: &Foreign) -> bool {
    let dev = foreign.mounts.iter().rfind(|mount| mount.target.trim_end_matches('/') == "/dev");
    !dev.is_some_and(|mount| binds::options(mount).is_ok_and(|options| binds::is_bind(mount, &options)))
}

/// The directory that a path lies in, and its last component.
fn parent_of<'a>(scene: &Scene<'_>, path: &'a str) -> Result<(OwnedFd, &'a str), Trouble> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("/", path));
    if name.is_empty() || name == "." || name == ".." {
        return Err(Trouble::new("mknodat", path, Errno::INVAL));
    }
    let parent = if parent.is_empty() { "/" } else { parent };
    Ok((scene.root()?.create_dir_all(parent)?, name))
}

fn make(scene: &Scene<'_>, device: &ForeignDevice) -> Outcome {
    let path = device.path.as_str();
    let fail = |call: &'static str| move |errno| Trouble::new(call, path, errno);
    let (parent, name) = parent_of(scene, path)?;
    let kind = match device.kind {
        'b' => FileType::BlockDevice,
        'p' => FileType::Fifo,
        _ => FileType::CharacterDevice,
    };
    let number = |number: Option<i64>| u32::try_from(number.unwrap_or(0)).unwrap_or(0);
    let number = rustix::fs::makedev(number(device.major), number(device.minor));
    let mode = Mode::from_raw_mode(device.mode.unwrap_or(0o666) & 0o777);
    match rustix::fs::mknodat(&parent, name, kind, mode, number) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            // The image's own: only the very same device is left in its place.
            let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(fail("fstatat"))?;
            if FileType::from_raw_mode(stat.st_mode) == kind && stat.st_rdev == number {
                return Ok(());
            }
            rustix::fs::unlinkat(&parent, name, AtFlags::empty()).map_err(fail("unlinkat"))?;
            rustix::fs::mknodat(&parent, name, kind, mode, number).map_err(fail("mknodat"))?;
        }
        Err(Errno::PERM) if kind != FileType::Fifo => {
            let node = bind_host_node(path, kind, number)?;
            let target = scene.root()?.create_file(path)?;
            return Ok(mount::attach(node.as_fd(), target.as_fd())?);
        }
        Err(errno) => return Err(fail("mknodat")(errno)),
    }
    // The umask must not take from what the caller says.
    rustix::fs::chmodat(&parent, name, mode, AtFlags::empty()).map_err(fail("fchmodat"))?;
    let (uid, gid) = (Uid::from_raw(device.uid.unwrap_or(0)), Gid::from_raw(device.gid.unwrap_or(0)));
    rustix::fs::chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(fail("fchownat"))
}

/// `/dev/fd` and its like. What the image has in their place stays, but for `ptmx`, which must be that of the
/// container's own devpts.
fn links(scene: &Scene<'_>) -> Outcome {
    let (dev, _) = parent_of(scene, "/dev/fd")?;
    for (name, target) in LINKS {
        match rustix::fs::symlinkat(target, &dev, name) {
            Ok(()) => {}
            Err(Errno::EXIST) if name != "ptmx" => {}
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(&dev, name, AtFlags::empty())
                    .map_err(|errno| Trouble::new("unlinkat", name, errno))?;
                rustix::fs::symlinkat(target, &dev, name).map_err(|errno| Trouble::new("symlinkat", name, errno))?;
            }
            Err(errno) => return Err(Trouble::new("symlinkat", name, errno)),
        }
    }
    if scene.process.terminal.is_some() {
        scene.root()?.create_file("/dev/console")?;
    }
    Ok(())
}
