//! Making and removing the directories of a group.

use std::time::{Duration, Instant};

use bulkhead_types::ErrorClass;
use rustix::fs::Mode;
use rustix::io::Errno;

use crate::Branch;
use crate::error::Error;
use crate::file::Group;
use crate::layout::{Controller, Controllers};

/// How long a group that is still in use is waited for: processes leave it a moment after their end is announced.
const PATIENCE: Duration = Duration::from_secs(1);

/// Makes `mount` + `path` with missing parents on version 1.
pub(crate) fn v1(mount: &str, path: &str, controllers: Controllers) -> Result<Branch, Error> {
    let full = format!("{mount}{path}");
    if controllers.has(Controller::Cpuset) {
        // A new set is empty and takes no process, so each level from the top gets what its parent has.
        for level in levels(path) {
            make_one(&format!("{mount}{level}"), level == path)?;
            inherit_cpuset(mount, level)?;
        }
    } else {
        make_all(mount, path)?;
    }
    open(full, controllers, false)
}

/// Makes `mount` + `path` on version 2 with every controller of ours enabled that the mount has.
pub(crate) fn v2(mount: &str, path: &str) -> Result<Branch, Error> {
    let mut above = mount.to_owned();
    for level in levels(path) {
        enable(&above)?;
        above = format!("{mount}{level}");
        make_one(&above, level == path)?;
    }
    let controllers = v2_controllers(&above);
    open(above, controllers, true)
}

/// What a version 2 group at `path` has.
pub(crate) fn v2_controllers(path: &str) -> Controllers {
    let text = Group::open(path.to_owned()).ok().and_then(|group| group.text("cgroup.controllers"));
    Controllers::from_v2(text.as_deref().unwrap_or_default())
}

fn open(path: String, controllers: Controllers, v2: bool) -> Result<Branch, Error> {
    let group = Group::open(path.clone()).map_err(|errno| Error::file("open", &path, errno))?;
    Ok(Branch { group, controllers, v2 })
}

/// `/a`, `/a/b`, … of `/a/b`.
fn levels(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.match_indices('/').skip(1).map(|(at, _)| path.get(..at).unwrap_or(path));
    inner.chain(std::iter::once(path))
}

fn make_all(mount: &str, path: &str) -> Result<(), Error> {
    // The parents exist but for the first container after a boot, so the last directory is tried first.
    let full = format!("{mount}{path}");
    match mkdir(&full) {
        Err(Errno::NOENT) => {
            for level in levels(path) {
                make_one(&format!("{mount}{level}"), level == path)?;
            }
            Ok(())
        }
        done => settle(&full, true, done),
    }
}

fn make_one(full: &str, last: bool) -> Result<(), Error> {
    settle(full, last, mkdir(full))
}

fn mkdir(full: &str) -> Result<(), Errno> {
    rustix::fs::mkdir(full, Mode::from_raw_mode(0o755))
}

/// A parent may exist. The group itself may not, unless it is an empty one that a crash left behind.
fn settle(full: &str, last: bool, done: Result<(), Errno>) -> Result<(), Error> {
    match done {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) if !last => Ok(()),
        Err(Errno::EXIST) => {
            let group = Group::open(full.to_owned()).map_err(|errno| Error::file("open", full, errno))?;
            if !processes_below(&group)?.is_empty() {
                return Err(Error::new(
                    ErrorClass::Conflict,
                    format!("the cgroup {full} exists and has processes in it; end them first"),
                ));
            }
            remove_tree(full)?;
            mkdir(full).map_err(|errno| Error::file("make", full, errno))
        }
        Err(errno) => Err(Error::file("make", full, errno)),
    }
}

fn inherit_cpuset(mount: &str, level: &str) -> Result<(), Error> {
    let parent_path = level.rsplit_once('/').map_or("", |(parent, _)| parent);
    let open = |path: String| Group::open(path.clone()).map_err(|errno| Error::file("open", &path, errno));
    let group = open(format!("{mount}{level}"))?;
    let mut parent = None;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if !group.read(file)?.trim().is_empty() {
            continue;
        }
        let parent = match &parent {
            Some(parent) => parent,
            None => parent.insert(open(format!("{mount}{parent_path}"))?),
        };
        group.write(file, parent.read(file)?.trim())?;
    }
    Ok(())
}

/// Lets the children of a version 2 group have what it has itself. One that the kernel refuses (a realtime process, a
/// threaded parent) is found missing later by the limit that needs it.
fn enable(path: &str) -> Result<(), Error> {
    let group = Group::open(path.to_owned()).map_err(|errno| Error::file("open", path, errno))?;
    let available = group.read("cgroup.controllers")?;
    let enabled = group.read("cgroup.subtree_control")?;
    for controller in available.split_whitespace() {
        let ours = matches!(controller, "cpu" | "cpuset" | "io" | "memory" | "pids");
        if ours && !enabled.split_whitespace().any(|word| word == controller) {
            let done = group.try_write("cgroup.subtree_control", &format!("+{controller}"));
            if let Err(errno @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) = done {
                return Err(Error::file("enable controllers in", path, errno));
            }
        }
    }
    Ok(())
}

/// Names of the groups right below.
fn children(group: &Group) -> Result<Vec<String>, Error> {
    let fail = |errno| Error::file("list", &group.path, errno);
    // The link count of a directory of this file system is two and one for each directory in it: mostly this is all.
    if rustix::fs::fstat(&group.dir).map_err(fail)?.st_nlink == 2 {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&group.dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_string_lossy();
        if entry.file_type() == rustix::fs::FileType::Directory && name != "." && name != ".." {
            names.push(name.into_owned());
        }
    }
    Ok(names)
}

/// Process ids of a group and those below.
pub(crate) fn processes_below(group: &Group) -> Result<Vec<u32>, Error> {
    let text = group.read("cgroup.procs")?;
    let mut pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for name in children(group)? {
        // One that goes meanwhile has no processes.
        if let Ok(child) = Group::open(format!("{}/{name}", group.path)) {
            pids.extend(processes_below(&child).unwrap_or_default());
        }
    }
    Ok(pids)
}

/// Removes a group and those below; a missing one is no error.
pub(crate) fn remove_tree(path: &str) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(100);
    loop {
        match rustix::fs::rmdir(path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(Error::file("remove", path, errno)),
        }
        if let Ok(group) = Group::open(path.to_owned()) {
            for name in children(&group)? {
                remove_tree(&format!("{path}/{name}"))?;
            }
        }
        if Instant::now() >= deadline {
            return Err(Error::file("remove", path, Errno::BUSY));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_a_path() {
        assert_eq!(levels("/a/b/c").collect::<Vec<_>>(), ["/a", "/a/b", "/a/b/c"]);
        assert_eq!(levels("/a").collect::<Vec<_>>(), ["/a"]);
    }
}
