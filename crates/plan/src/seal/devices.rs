//! The container's own `/dev` (walls.md measure 16).

use super::{PlanError, Wishes};
use crate::concession::Concession;
use crate::model::Device;

/// Six nodes that every program may expect; none of them talks to hardware.
const NODES: &[(&str, u32, u32)] = &[
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// Names that the wall itself makes.
const RESERVED: &[&str] = &[
    "/dev/console",
    "/dev/fd",
    "/dev/mqueue",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/shm",
    "/dev/stderr",
    "/dev/stdin",
    "/dev/stdout",
];

pub(super) fn choose(wishes: &Wishes, conceded: &mut Vec<Concession>) -> Result<Vec<Device>, PlanError> {
    let node = |&(path, major, minor): &(&str, u32, u32)| Device {
        path: path.to_owned(),
        kind: 'c',
        major,
        minor,
        mode: 0o666,
        access: "rw".to_owned(),
    };
    let mut chosen: Vec<Device> = NODES.iter().map(node).collect();
    for device in &wishes.devices {
        check(device)?;
        let known = chosen.iter().find(|other| other.path == device.path);
        if let Some(other) = known {
            if (other.kind, other.major, other.minor) == (device.kind, device.major, device.minor) {
                continue;
            }
            return Err(PlanError::invalid(format!(
                "--device: {} is there already as another device; give it another name inside (--device HOST:INSIDE)",
                device.path
            )));
        }
        conceded.push(Concession::Device(device.path.clone()));
        chosen.push(device.clone());
    }
    Ok(chosen)
}

fn check(device: &Device) -> Result<(), PlanError> {
    let path = &device.path;
    let below = path.strip_prefix("/dev/").unwrap_or_default();
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    if !below.split('/').all(part) {
        return Err(PlanError::invalid(format!(
            "--device: {path:?} inside must be a path below /dev without . and .."
        )));
    }
    let reserved = |name: &&str| path == *name || path.strip_prefix(*name).is_some_and(|rest| rest.starts_with('/'));
    if RESERVED.iter().any(reserved) {
        return Err(PlanError::invalid(format!(
            "--device: {path} is made by the engine itself; give the device another name inside (--device HOST:INSIDE)"
        )));
    }
    let access = &device.access;
    if access.is_empty() || access.bytes().any(|right| !b"rwm".contains(&right)) || !"cb".contains(device.kind) {
        return Err(PlanError::invalid(format!("--device: the rights {access:?} of {path} are not of r, w and m")));
    }
    Ok(())
}
