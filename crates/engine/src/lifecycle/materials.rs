//! Opens everything that a start needs: the root, the mounts, the engine's own files, the directories.

use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_plan::handover::{AttachedHandle, Handles};
use bulkhead_plan::{HostMounts, Mount, MountFlags, MountSource, control::Streams};
use bulkhead_rootfs::BindOptions;
use bulkhead_sys::socket::Channel;
use bulkhead_types::IdMap;

use crate::control::open_dir;
use crate::engine::Engine;
use crate::layout;
use crate::model::{Error, Result};
use crate::mounts::{MountSpec, Source};
use crate::record::{ContainerConfig, Record};
use crate::userfiles;

use super::handover::Bag;
use super::wishes::planned;

/// Opened for one start.
pub(crate) struct Materials {
    pub bag: Bag,
    pub handles: Handles,
    pub mounts: Vec<Mount>,
    pub host_mounts: HostMounts,
}

impl Engine {
    /// Opens all of it. Whatever fails, dropping what was opened unmounts it.
    ///
    /// # Errors
    /// The one that cannot be opened, by name.
    pub(crate) fn materials(
        &self,
        record: &Record,
        ids: &IdMap,
        attach: Option<(OwnedFd, Streams)>,
    ) -> Result<Materials> {
        let id = record.id.as_str();
        let mut bag = Bag::default();
        let root = self.rootfs.mount(id, &record.layers, ids)?;
        let run = self.layout.running(id);
        layout::make_private(&run)?;
        let mut mounts = Vec::with_capacity(record.config.mounts.len() + 3);
        let mut opened = Vec::with_capacity(record.config.mounts.len() + 3);
        for spec in &record.config.mounts {
            let bound = self.open_mount(spec, ids, &root)?;
            opened.push((spec, bound));
        }
        let mut handles = self.own_handles(id, &mut bag, root)?;
        handles.attached = attach.map(|(socket, streams)| AttachedHandle { socket: bag.add(socket), streams });
        for (spec, bound) in opened {
            let file = bound.as_ref().is_some_and(|bound| bound.file);
            let index = bound.map_or(0, |bound| bag.add(bound.mount));
            mounts.push(planned(spec, index, file));
        }
        self.engine_files(record, ids, &mut bag, &mut mounts)?;
        let host_mounts = host_mounts(&record.config, &mut bag)?;
        handles.count = bag.count();
        Ok(Materials { bag, handles, mounts, host_mounts })
    }

    /// Handle 0 is the root by agreement.
    fn own_handles(&self, id: &str, bag: &mut Bag, root: OwnedFd) -> Result<Handles> {
        Ok(Handles {
            root: bag.add(root),
            run_dir: bag.add(open_dir(&self.layout.running(id))?),
            data_dir: bag.add(open_dir(&self.layout.container(id))?),
            engine: bag.add(own_executable()?),
            events: bag.add(self.open_events()?),
            attached: None,
            count: 0,
        })
    }

    /// Nothing to open for a tmpfs.
    fn open_mount(&self, spec: &MountSpec, ids: &IdMap, root: &OwnedFd) -> Result<Option<bulkhead_rootfs::Bound>> {
        match &spec.source {
            Source::Tmpfs { .. } => Ok(None),
            Source::Bind { path, create, recursive } => {
                let options = BindOptions { recursive: *recursive, create: *create };
                Ok(Some(self.rootfs.bind(std::path::Path::new(path), ids, options)?))
            }
            Source::Volume(volume) => {
                let name = volume.name.as_deref().ok_or_else(|| {
                    Error::internal(format!("the volume at {} has no name: its creation was cut off", spec.target))
                })?;
                let populate =
                    (!volume.no_copy && volume.subpath.is_none()).then(|| (root.as_fd(), spec.target.as_str()));
                if self.rootfs.volume(name)?.is_none() {
                    // Docker, too, makes a named volume anew when it was removed between two starts.
                    self.rootfs.create_volume(Some(name), volume.labels.clone(), volume.options.clone())?;
                }
                Ok(Some(self.rootfs.mount_volume(name, volume.subpath.as_deref(), ids, populate)?))
            }
        }
    }

    /// `/etc/hosts` and the like, where the user has not put something else.
    fn engine_files(&self, record: &Record, ids: &IdMap, bag: &mut Bag, mounts: &mut Vec<Mount>) -> Result<()> {
        let config = &record.config;
        let files = [
            ("hosts", userfiles::hosts(config)?),
            ("hostname", format!("{}\n", config.hostname)),
            ("resolv.conf", userfiles::resolv_conf(config)),
        ];
        for (name, contents) in files {
            let target = format!("/etc/{name}");
            if mounts.iter().any(|mount| mount.target == target || mount.target == "/etc") {
                continue;
            }
            let file = self.rootfs.engine_file(record.id.as_str(), name, contents.as_bytes(), ids)?;
            let source = MountSource::Handle { index: bag.add(file), label: format!("bulkhead's {name}"), file: true };
            mounts.push(Mount { target, source, flags: MountFlags::DATA });
        }
        Ok(())
    }
}

/// Clones of the host's pseudo file systems, where the container shares the namespace that they belong to.
fn host_mounts(config: &ContainerConfig, bag: &mut Bag) -> Result<HostMounts> {
    let mut clone = |wanted: bool, path: &str| -> Result<Option<u32>> {
        if !wanted {
            return Ok(None);
        }
        let mount = bulkhead_sys::mount::clone_tree(rustix::fs::CWD, path, false)?;
        Ok(Some(bag.add(mount)))
    };
    let has_mqueue = config.host_ipc && std::path::Path::new("/dev/mqueue").is_dir();
    Ok(HostMounts {
        sysfs: clone(config.network == "host", "/sys")?,
        proc: clone(config.host_pid, "/proc")?,
        mqueue: clone(has_mqueue, "/dev/mqueue")?,
        cgroup: clone(config.host_cgroup, "/sys/fs/cgroup")?,
    })
}

/// Our own executable, which monitors start again and containers run for `cp`.
///
/// # Errors
/// If /proc is not mounted.
pub(super) fn own_executable() -> Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    let path = "/proc/self/exe";
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::internal(format!("{path}: {errno}: is /proc mounted?")))
}

/// Two ends for an attachment from before the start.
///
/// # Errors
/// If no socket can be made.
pub(crate) fn attachment_pair(streams: Streams) -> Result<(Channel, (OwnedFd, Streams))> {
    let (ours, theirs) = Channel::pair()?;
    Ok((ours, (theirs.into(), streams)))
}
