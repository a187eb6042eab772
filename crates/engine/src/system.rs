//! The whole: disk usage, information, versions, release, reset.

use serde_json::{Value, json};

use crate::engine::Engine;
use crate::events;
use crate::host;
use crate::layout;
use crate::model::{Filters, Result};
use crate::standing::Status;
use crate::view::DiskUsage;

impl Engine {
    /// Images, containers, volumes.
    ///
    /// # Errors
    /// If the stores cannot be read.
    pub fn disk_usage(&self) -> Result<Vec<DiskUsage>> {
        let records = self.records()?;
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let users = self.image_users()?;
        let mut images = DiskUsage { kind: "Images".into(), ..DiskUsage::default() };
        let (mut seen, mut kept) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        for image in self.image_store.list()? {
            let is_used = users.iter().any(|(id, _)| *id == image.id);
            images.total_count += 1;
            images.active += u64::from(is_used);
            for layer in &image.layers {
                seen.insert(layer.diff_id.to_string());
                if is_used {
                    kept.insert(layer.diff_id.to_string());
                }
            }
        }
        for text in &seen {
            let Ok(diff_id) = text.parse() else { continue };
            let bytes = self.rootfs.layer_size(&diff_id);
            images.size += bytes;
            images.reclaimable += if kept.contains(text) { 0 } else { bytes };
        }
        let mut containers =
            DiskUsage { kind: "Containers".into(), total_count: count(records.len()), ..DiskUsage::default() };
        for record in &records {
            let bytes = self.rootfs.upper_size(record.id.as_str()).unwrap_or(0);
            let alive = self.is_alive(record.id.as_str())?;
            containers.active += u64::from(alive);
            containers.size += bytes;
            containers.reclaimable += if alive { 0 } else { bytes };
        }
        let used = self.used_volumes()?;
        let mut volumes = DiskUsage { kind: "Local Volumes".into(), ..DiskUsage::default() };
        for volume in self.rootfs.volumes()? {
            let bytes = self.rootfs.volume_size(&volume.name).unwrap_or(0);
            let is_used = used.contains_key(&volume.name);
            volumes.total_count += 1;
            volumes.active += u64::from(is_used);
            volumes.size += bytes;
            volumes.reclaimable += if is_used { 0 } else { bytes };
        }
        Ok(vec![images, containers, volumes])
    }

    /// Docker's shape of `/info`, with `Bulkhead` added: what this host can enforce.
    ///
    /// # Errors
    /// If the stores cannot be read.
    pub fn info(&self) -> Result<Value> {
        let (mut running, mut paused, mut stopped) = (0u64, 0u64, 0u64);
        let records = self.records()?;
        for record in &records {
            match self.standing(record)?.status {
                Status::Running | Status::Restarting => running += 1,
                Status::Paused => paused += 1,
                _ => stopped += 1,
            }
        }
        let rootless = crate::rootless::is_inside();
        Ok(json!({
            "ID": "", "Name": host::name(), "ServerVersion": env!("CARGO_PKG_VERSION"),
            "Containers": records.len(), "ContainersRunning": running, "ContainersPaused": paused,
            "ContainersStopped": stopped, "Images": self.image_store.list()?.len(),
            "Driver": "bulkhead", "DriverStatus": [["Layers", if rootless { "directories" } else { "EROFS" }]],
            "DockerRootDir": self.layout.root, "LoggingDriver": "json-file",
            "CgroupDriver": if rootless { "none" } else { "cgroupfs" },
            "CgroupVersion": if host::has_unified_cgroups() { "2" } else { "1" },
            "KernelVersion": host::kernel(), "OperatingSystem": host::distribution(), "OSType": "linux",
            "Architecture": std::env::consts::ARCH, "NCPU": host::processors(), "MemTotal": host::memory(),
            "SecurityOptions": security_options(rootless), "Warnings": Value::Null,
            "LiveRestoreEnabled": true, "Debug": false,
            "Runtimes": { "bulkhead": { "path": "bulkhead-monitor" } }, "DefaultRuntime": "bulkhead",
            "Bulkhead": {
                "RunRoot": self.layout.run, "Rootless": rootless, "Daemon": false,
                "Landlock": std::path::Path::new("/sys/kernel/security/landlock").exists(),
                "UserNamespaces": std::fs::read_to_string("/proc/sys/user/max_user_namespaces").map(|text| text.trim().to_owned()).ok(),
            },
        }))
    }

    /// Docker's shape of `/version`.
    #[must_use]
    pub fn version(&self) -> Value {
        let version = env!("CARGO_PKG_VERSION");
        let arch = bulkhead_types::Platform::host().architecture;
        json!({
            "Platform": { "Name": "Bulkhead" },
            "Components": [{ "Name": "Engine", "Version": version, "Details": { "KernelVersion": host::kernel() } }],
            "Version": version, "ApiVersion": "1.51", "MinAPIVersion": "1.24", "GitCommit": "", "GoVersion": "",
            "Os": "linux", "Arch": arch, "KernelVersion": host::kernel(), "BuildTime": "",
        })
    }

    /// Unmounts the layers that no container uses (nothing is lost; the next run mounts them again).
    ///
    /// # Errors
    /// If a layer is in use.
    pub fn release(&self) -> Result<()> {
        Ok(self.rootfs.release()?)
    }

    /// Removes everything below both roots: containers (running ones are killed), images, volumes, mounts.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn reset(&self) -> Result<()> {
        for id in layout::names_in(&self.layout.root.join("containers"))? {
            match self.remove(&id, true, true) {
                Err(error) if error.class != bulkhead_types::ErrorClass::NotFound => return Err(error),
                _ => {}
            }
        }
        self.prune_volumes(true, &Filters::new())?;
        self.rootfs.release()?;
        self.image_store.prune(&|_| false, &self.removal_sink()?)?;
        events::forget(self)?;
        // What is left is empty or belongs to crashed transfers.
        for name in ["containers", "names", "images", "layers", "uppers", "volumes", "ranges"] {
            layout::remove_dir(&self.layout.root.join(name))?;
        }
        // The lowest layer of every container; one for each range where mounts cannot be idmapped.
        for name in layout::names_in(&self.layout.root)?.iter().filter(|name| name.starts_with("skeleton")) {
            layout::remove_dir(&self.layout.root.join(name))?;
        }
        for name in ["containers", "pending", "layers", "volumes"] {
            layout::remove_dir(&self.layout.run.join(name))?;
        }
        layout::remove_file(&self.layout.ready())
    }
}

fn security_options(rootless: bool) -> Vec<&'static str> {
    let mut options = vec!["name=seccomp,profile=bulkhead", "name=userns", "name=cgroupns", "name=no-new-privileges"];
    if rootless {
        options.push("name=rootless");
    }
    options
}
