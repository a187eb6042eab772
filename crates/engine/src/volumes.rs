//! Volumes.

use std::collections::BTreeMap;

use bulkhead_rootfs::Volume;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::filters;
use crate::model::{Error, Filters, Result};
use crate::mounts::check_volume_name;

impl Engine {
    /// Options and labels as `KEY=value`.
    ///
    /// # Errors
    /// In Docker's words if the name or an option is malformed.
    pub fn volume_create(&self, name: Option<&str>, labels: &[String], options: &[String]) -> Result<Volume> {
        if let Some(name) = name {
            check_volume_name(name)?;
        }
        let map = |list: &[String]| -> BTreeMap<String, String> {
            list.iter()
                .map(|entry| entry.split_once('=').unwrap_or((entry, "")))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect()
        };
        let volume = self.rootfs.create_volume(name, map(labels), map(options))?;
        self.tell_of("volume", "create", &volume.name, &[("driver", "local".into())]);
        Ok(volume)
    }

    /// Filters: `dangling`, `label`, `name`, `driver`.
    ///
    /// # Errors
    /// If a filter is malformed.
    pub fn volumes(&self, filters: &Filters) -> Result<Vec<Volume>> {
        filters::check(filters, &["dangling", "label", "label!", "name", "driver", "all"])?;
        let dangling = filters::flag(filters, "dangling")?;
        let used = self.used_volumes()?;
        let mut volumes = self.rootfs.volumes()?;
        volumes.retain(|volume| {
            let names = filters.get("name").is_none_or(|names| names.iter().any(|name| volume.name.contains(name)));
            let drivers = filters.get("driver").is_none_or(|drivers| drivers.iter().any(|driver| driver == "local"));
            let is_used = used.contains_key(&volume.name);
            names && drivers && filters::fits_labels(filters, &volume.labels) && dangling.is_none_or(|d| d != is_used)
        });
        Ok(volumes)
    }

    /// Docker's shape.
    ///
    /// # Errors
    /// `NotFound` in Docker's words.
    pub fn volume_inspect(&self, name: &str) -> Result<Value> {
        let volume = self.known_volume(name)?;
        Ok(json!({
            "CreatedAt": volume.created_at,
            "Driver": "local",
            "Labels": volume.labels,
            "Mountpoint": self.rootfs.volume_path(&volume.name),
            "Name": volume.name,
            "Options": volume.options,
            "Scope": "local",
        }))
    }

    fn known_volume(&self, name: &str) -> Result<Volume> {
        let missing = || Error::not_found(format!("get {name}: no such volume"));
        check_volume_name(name).map_err(|_| missing())?;
        self.rootfs.volume(name)?.ok_or_else(missing)
    }

    /// Refused while a container uses it. `force` makes a missing one no error.
    ///
    /// # Errors
    /// `NotFound`, or Conflict in Docker's words.
    pub fn volume_remove(&self, name: &str, force: bool) -> Result<()> {
        let volume = match self.known_volume(name) {
            Err(error) if force && error.class == bulkhead_types::ErrorClass::NotFound => return Ok(()),
            other => other?,
        };
        let users = self.volume_users(&volume.name)?;
        if !users.is_empty() {
            return Err(Error::conflict(format!("remove {name}: volume is in use - [{}]", users.join(", "))));
        }
        self.rootfs.remove_volume(&volume.name)?;
        self.tell_of("volume", "destroy", &volume.name, &[("driver", "local".into())]);
        Ok(())
    }

    /// Unused anonymous ones, with `all` named ones too; names and bytes freed.
    ///
    /// # Errors
    /// If a filter is malformed.
    pub fn prune_volumes(&self, all: bool, filters: &Filters) -> Result<(Vec<String>, u64)> {
        filters::check(filters, &["label", "label!", "all"])?;
        let all = all || filters::flag(filters, "all")? == Some(true);
        let used = self.used_volumes()?;
        let (mut removed, mut freed) = (Vec::new(), 0);
        for volume in self.rootfs.volumes()? {
            let is_wanted = (all || volume.anonymous) && filters::fits_labels(filters, &volume.labels);
            if !is_wanted || used.contains_key(&volume.name) {
                continue;
            }
            let bytes = self.rootfs.volume_size(&volume.name).unwrap_or(0);
            match self.volume_remove(&volume.name, true) {
                Ok(()) => {
                    removed.push(volume.name);
                    freed += bytes;
                }
                // A container took it meanwhile.
                Err(error) if error.class == bulkhead_types::ErrorClass::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Ok((removed, freed))
    }

    /// Ids of containers that use a volume.
    pub(crate) fn volume_users(&self, name: &str) -> Result<Vec<String>> {
        Ok(self.used_volumes()?.remove(name).unwrap_or_default())
    }

    /// All volumes in use with the ids of their users.
    pub(crate) fn used_volumes(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in self.records()? {
            for name in record.config.mounts.iter().filter_map(|spec| spec.volume()) {
                used.entry(name.to_owned()).or_default().push(record.id.to_string());
            }
        }
        Ok(used)
    }
}
