//! User namespaces that exist only to carry an id map (`mount_setattr(2)`, `MOUNT_ATTR_IDMAP`).

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use crate::{Result, SysError, raw};

/// A user namespace whose maps are the given texts (`/proc/PID/uid_map` form). No process stays behind.
///
/// # Errors
/// If the namespace cannot be made or the maps are refused.
pub fn namespace_with_map(uid_map: &str, gid_map: &str) -> Result<OwnedFd> {
    let pid = raw::mount::user_namespace_zombie().map_err(|errno| SysError::new("clone", "user namespace", errno))?;
    let namespace = write_and_open(pid, uid_map, gid_map);
    raw::mount::reap(pid).map_err(|errno| SysError::new("waitpid", pid.to_string(), errno))?;
    namespace
}

fn write_and_open(pid: i32, uid_map: &str, gid_map: &str) -> Result<OwnedFd> {
    let path = format!("/proc/{pid}");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let process = rustix::fs::open(path.as_str(), flags, Mode::empty())
        .map_err(|errno| SysError::new("open", path.as_str(), errno))?;
    for (name, map) in [("uid_map", uid_map), ("gid_map", gid_map)] {
        let file = rustix::fs::openat(&process, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| SysError::new("openat", name, errno))?;
        // One write(2): the kernel takes a map only whole and only once.
        let written = rustix::io::write(&file, map.as_bytes())
            .map_err(|errno| SysError::new("write", format!("{name} {:?}", map.trim_end()), errno))?;
        if written != map.len() {
            return Err(SysError::new("write", name, rustix::io::Errno::IO));
        }
    }
    rustix::fs::openat(&process, "ns/user", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| SysError::new("openat", "ns/user", errno))
}

/// True if this process lives in a user namespace that does not map every id onto itself, so that ids it writes are
/// not the host's.
///
/// # Errors
/// If `/proc/self/uid_map` cannot be read.
pub fn is_mapped() -> Result<bool> {
    Ok(own_map("uid_map")? != [(0, 0, u32::MAX)])
}

/// The lines of `/proc/self/uid_map` (or `gid_map`) of this process: first id inside, first id outside, count.
///
/// # Errors
/// If the file cannot be read or has another form.
pub fn own_map(name: &str) -> Result<Vec<(u32, u32, u32)>> {
    let path = format!("/proc/self/{name}");
    let text = std::fs::read_to_string(&path).map_err(|error| SysError::new("read", path.as_str(), error))?;
    let malformed = || SysError::new("parse", path.as_str(), rustix::io::Errno::INVAL);
    let mut lines = Vec::new();
    for line in text.lines() {
        let numbers: Vec<u32> = line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        let &[inside, outside, count] = numbers.as_slice() else { return Err(malformed()) };
        lines.push((inside, outside, count));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_carries_its_map_and_no_process_stays() {
        if !crate::mount::tests::root() {
            return;
        }
        let map = "0 1879048192 65536\n";
        let first = namespace_with_map(map, map).unwrap();
        let second = namespace_with_map(map, map).unwrap();
        let id = |fd: &OwnedFd| rustix::fs::fstat(fd).unwrap().st_ino;
        assert_ne!(id(&first), id(&second));
        assert!(rustix::process::wait(rustix::process::WaitOptions::NOHANG).is_err(), "no child is left");
    }

    #[test]
    fn a_bad_map_is_an_error_that_shows_it() {
        let error = namespace_with_map("0 0 0\n", "0 0 0\n").unwrap_err();
        assert!(error.to_string().contains("uid_map"), "{error}");
    }

    #[test]
    fn the_own_map_is_read() {
        assert!(!own_map("uid_map").unwrap().is_empty());
    }
}
