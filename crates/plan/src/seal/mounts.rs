//! The pseudo file systems in front, the user's mounts behind them, and what is covered afterwards.

use super::{HostMounts, PlanError, Wishes};
use crate::concession::Concession;
use crate::masks;
use crate::model::{Level, Limits, Mount, MountFlags, MountSource, Namespaces};

/// `/dev/shm`: 64 MiB.
const SHM_SIZE: u64 = 64 << 20;
/// Bytes of a tmpfs that is not told one, if memory is not limited: 1 GiB.
const TMPFS_UNKNOWN: u64 = 1 << 30;
/// Bytes of the writable places that level hardened adds: 64 MiB.
const SCRATCH: u64 = 64 << 20;
/// A file on tmpfs costs about a page even when empty.
const BYTES_PER_FILE: u64 = 4096;

pub(super) fn choose(
    wishes: &Wishes,
    namespaces: Namespaces,
    limits: &Limits,
    conceded: &mut Vec<Concession>,
) -> Result<Vec<Mount>, PlanError> {
    let mut asked = wishes.mounts.clone();
    for (at, mount) in asked.iter_mut().enumerate() {
        check_target(&mount.target)?;
        if wishes.mounts.iter().take(at).any(|other| same_place(&other.target, &mount.target)) {
            return Err(PlanError::invalid(format!("two mounts want the place {}: leave out one", mount.target)));
        }
        bound_tmpfs(&mut mount.source, limits);
        concede_flags(mount, conceded);
    }
    let mut mounts = pseudo(wishes, namespaces)?;
    if wishes.level == Level::Hardened {
        mounts.extend(["/tmp", "/run"].map(|target| Mount {
            target: target.to_owned(),
            source: tmpfs(SCRATCH, if target == "/tmp" { 0o1777 } else { 0o755 }),
            flags: MountFlags::PSEUDO,
        }));
    }
    // A mount of the user's takes the place of ours, where that is permitted at all.
    mounts.retain(|ours| !asked.iter().any(|mount| same_place(&mount.target, &ours.target)));
    mounts.append(&mut asked);
    Ok(mounts)
}

fn same_place(left: &str, right: &str) -> bool {
    left.trim_end_matches('/') == right.trim_end_matches('/')
}

fn tmpfs(size: u64, mode: u32) -> MountSource {
    MountSource::Tmpfs { size, inodes: (size / BYTES_PER_FILE).max(1024), mode }
}

/// In their order: what lies below comes later.
fn pseudo(wishes: &Wishes, own: Namespaces) -> Result<Vec<Mount>, PlanError> {
    let HostMounts { sysfs, proc, mqueue, cgroup } = wishes.host_mounts;
    let locked = MountFlags { read_only: !wishes.privileged, ..MountFlags::PSEUDO };
    let always_locked = MountFlags { read_only: true, ..MountFlags::PSEUDO };
    let dev = MountFlags { read_only: false, nosuid: true, nodev: false, noexec: true };
    let shared = |index: Option<u32>, path: &str| {
        index.map(|index| MountSource::Handle { index, label: format!("the host's {path}"), file: false })
    };
    let needed = |source: Option<MountSource>, flag: &str, path: &str| {
        source.ok_or_else(|| PlanError::invalid(format!("{flag}: the host's {path} was not handed over")))
    };
    let mut mounts = Vec::new();
    let mut add = |target: &str, source: MountSource, flags: MountFlags| {
        mounts.push(Mount { target: target.to_owned(), source, flags });
    };
    match own.pid {
        true => add("/proc", MountSource::Proc, MountFlags::PSEUDO),
        false => add("/proc", needed(shared(proc, "/proc"), "--pid host", "/proc")?, MountFlags::PSEUDO),
    }
    match own.network {
        true => add("/sys", MountSource::Sysfs, locked),
        false => add("/sys", needed(shared(sysfs, "/sys"), "--network host", "/sys")?, always_locked),
    }
    match own.cgroup {
        true => add("/sys/fs/cgroup", MountSource::Cgroup, locked),
        false => {
            if let Some(source) = shared(cgroup, "/sys/fs/cgroup") {
                add("/sys/fs/cgroup", source, always_locked);
            }
        }
    }
    add("/dev", MountSource::Dev, dev);
    add("/dev/pts", MountSource::Devpts, MountFlags { nodev: false, ..MountFlags::PSEUDO });
    let shm = wishes.shm_size.filter(|size| *size > 0).unwrap_or(SHM_SIZE);
    add("/dev/shm", tmpfs(shm, 0o1777), MountFlags::PSEUDO);
    match own.ipc {
        true => add("/dev/mqueue", MountSource::Mqueue, MountFlags::PSEUDO),
        false => {
            if let Some(source) = shared(mqueue, "/dev/mqueue") {
                add("/dev/mqueue", source, MountFlags::PSEUDO);
            }
        }
    }
    Ok(mounts)
}

/// Places where walls stand cannot be built over.
fn check_target(target: &str) -> Result<(), PlanError> {
    let parts = |part: &str| part != "." && part != "..";
    if !target.starts_with('/') || target.contains('\0') || !target.split('/').all(parts) {
        return Err(PlanError::invalid(format!(
            "the mount target {target:?} must be absolute and without . and .. parts"
        )));
    }
    let below = |path: &str| same_place(target, path) || target.starts_with(&format!("{path}/"));
    if target.trim_matches('/').is_empty() || target.contains("//") {
        return Err(PlanError::invalid(format!("nothing can be mounted over {target:?}: name a directory below it")));
    }
    if below("/proc") || below("/sys") {
        return Err(PlanError::invalid(format!(
            "nothing can be mounted over {target}: it would hide kernel files that are walls; take another place, for \
             example /host{target}"
        )));
    }
    if same_place(target, "/dev") || ["/dev/pts", "/dev/console", "/dev/ptmx"].iter().any(|path| below(path)) {
        return Err(PlanError::invalid(format!(
            "nothing can be mounted over {target}: the engine makes it; hand in single devices with --device"
        )));
    }
    Ok(())
}

/// A tmpfs without a bound gets half of the container's memory, and one file per page.
fn bound_tmpfs(source: &mut MountSource, limits: &Limits) {
    if let MountSource::Tmpfs { size, inodes, .. } = source {
        if *size == 0 {
            *size = limits.memory.map_or(TMPFS_UNKNOWN, |memory| memory / 2);
        }
        if *inodes == 0 {
            *inodes = (*size / BYTES_PER_FILE).max(1024);
        }
    }
}

fn concede_flags(mount: &Mount, conceded: &mut Vec<Concession>) {
    let open = [(mount.flags.nosuid, "suid"), (mount.flags.nodev, "dev")];
    let open = open.iter().filter(|(closed, _)| !closed);
    conceded.extend(open.map(|(_, word)| Concession::MountOption(format!("{word} on {}", mount.target))));
}

/// What is covered, in order.
pub(super) fn masked(wishes: &Wishes, unmasked: bool) -> Vec<String> {
    if unmasked {
        return Vec::new();
    }
    let hardened = if wishes.level == Level::Hardened { masks::HARDENED_MASKED } else { &[] };
    let listed = masks::MASKED.iter().chain(hardened).map(|(path, _)| (*path).to_owned());
    listed.chain((0..wishes.host.processors.min(4096)).map(masks::thermal_throttle)).collect()
}

/// What is bound read-only onto itself.
pub(super) fn read_only(wishes: &Wishes, unmasked: bool) -> Vec<String> {
    if unmasked || wishes.privileged {
        return Vec::new();
    }
    masks::READ_ONLY.iter().map(|(path, _)| (*path).to_owned()).collect()
}
