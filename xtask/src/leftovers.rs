//! What tests must not leave behind: mounts, cgroups, processes, links, nft tables.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};

/// The machine as it stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    processes: BTreeSet<String>,
    links: BTreeSet<String>,
}

impl Snapshot {
    /// Takes one.
    pub fn take() -> Self {
        Self { mounts: mounts(), cgroups: cgroups(), processes: processes(), links: links() }
    }

    /// Fails, naming each thing, if something is there now that was not there before.
    pub fn compare(&self) -> Result<()> {
        // A monitor that was told to stop may need a moment to remove its cgroup.
        for _ in 0..50 {
            if self.added().is_empty() {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let added = self.added();
        if added.is_empty() {
            return Ok(());
        }
        bail!("the tests left behind:\n  {}", added.join("\n  "))
    }

    fn added(&self) -> Vec<String> {
        let now = Self::take();
        let mut added = Vec::new();
        for (what, before, after) in [
            ("mount", &self.mounts, &now.mounts),
            ("cgroup", &self.cgroups, &now.cgroups),
            ("process", &self.processes, &now.processes),
            ("link", &self.links, &now.links),
        ] {
            added.extend(after.difference(before).map(|thing| format!("{what} {thing}")));
        }
        added
    }
}

fn mounts() -> BTreeSet<String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect()
}

fn cgroups() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![Path::new("/sys/fs/cgroup").to_path_buf()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if path.to_string_lossy().contains("/bulkhead") {
                    found.insert(path.display().to_string());
                }
                left.push(path);
            }
        }
    }
    // The parent of all containers stays, as /docker and /machine.slice do.
    found.retain(|path| !path.ends_with("/bulkhead"));
    found
}

/// Ours by name, with the pid so that an older one is no excuse for a newer one.
fn processes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(comm) = std::fs::read_to_string(entry.path().join("comm")) else { continue };
        let ours = ["bulkhead", "docker-registry", "dockerd", "containerd"];
        if ours.iter().any(|name| comm.starts_with(name)) {
            found.insert(format!("{} {}", entry.file_name().to_string_lossy(), comm.trim()));
        }
    }
    found
}

fn links() -> BTreeSet<String> {
    std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
