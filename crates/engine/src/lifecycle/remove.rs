//! `rm`, and the quick removal of `--rm` containers.

use bulkhead_plan::control::Request;
use bulkhead_types::ContainerId;

use crate::engine::Engine;
use crate::layout;
use crate::model::{Error, Filters, Result};
use crate::mounts::Source;
use crate::names;
use crate::pending::Mark;
use crate::record::{Record, Transition};
use crate::standing::Status;
use crate::{clock, filters};

impl Engine {
    /// `force` kills first; `volumes` removes its anonymous volumes.
    ///
    /// # Errors
    /// `NotFound`; Conflict in Docker's words if it runs and `force` is not given.
    pub fn remove(&self, container: &str, force: bool, volumes: bool) -> Result<()> {
        let record = match self.find(container) {
            Ok(record) => record,
            Err(error) if force => return self.remove_damaged(container, error),
            Err(error) => return Err(error),
        };
        let id = record.id.as_str();
        let status = self.standing(&record)?.status;
        if status.is_alive() {
            if !force {
                return Err(Error::conflict(format!(
                    "cannot remove container \"/{}\": container is {}: stop the container before removing or force remove",
                    record.name,
                    status.word()
                )));
            }
            self.ask(id, &Request::Stop { signal: Some(9), timeout: Some(10), restart: true })?;
            self.await_end(id)?;
        }
        let mark = Mark::hold(&self.layout.pending(), id)?;
        // A `--rm` container may have been reaped while we waited.
        let Some(mut record) = Record::load(&self.layout, id)? else { return Ok(()) };
        if self.is_alive(id)? {
            return Err(Error::conflict(format!("container {} was started again meanwhile; repeat", record.name)));
        }
        self.take_away(&mut record, volumes, mark)
    }

    /// A record that cannot be read must not keep its container for ever.
    fn remove_damaged(&self, container: &str, error: Error) -> Result<()> {
        let Some(id) = self.find_id(container)? else { return Err(error) };
        if !self.layout.container(id.as_str()).exists() || self.is_alive(id.as_str())? {
            return Err(error);
        }
        let _mark = Mark::hold(&self.layout.pending(), id.as_str())?;
        self.discard(id.as_str(), container)
    }

    /// Removes a `--rm` container whose end was delivered by an attachment. Quick path of `run --rm`.
    ///
    /// # Errors
    /// If something cannot be removed; the next command tries again.
    pub fn reap(&self, id: &ContainerId) -> Result<()> {
        let mark = Mark::hold(&self.layout.pending(), id.as_str())?;
        match Record::load(&self.layout, id.as_str())? {
            Some(mut record) if record.config.remove => self.take_away(&mut record, true, mark),
            _ => Ok(()),
        }
    }

    /// Removes all that a container has. The record goes last, so that a crash leaves what a repair can read.
    ///
    /// # Errors
    /// The first thing that cannot be removed; the mark stays, and the next command tries again.
    pub(crate) fn take_away(&self, record: &mut Record, volumes: bool, mut mark: Mark) -> Result<()> {
        mark.note(&format!("remove {}", record.name))?;
        let removed = self.take_parts_away(record, volumes);
        match removed {
            Ok(()) => {
                self.tell(record, "destroy", &[]);
                Ok(())
            }
            Err(error) => {
                mark.abandon();
                Err(error)
            }
        }
    }

    fn take_parts_away(&self, record: &mut Record, volumes: bool) -> Result<()> {
        let id = record.id.as_str().to_owned();
        record.apply(Transition::Removing)?;
        if !record.config.remove {
            record.save(&self.layout)?;
        }
        names::release(&self.layout, &record.name, &record.id)?;
        self.rootfs.remove_upper(&id)?;
        self.rootfs.release_range(&id)?;
        if volumes {
            self.remove_anonymous(record)?;
        }
        layout::remove_dir(&self.layout.running(&id))?;
        let dir = self.layout.container(&id);
        layout::remove_dir(&dir.join("log"))?;
        layout::remove_dir(&dir)
    }

    fn remove_anonymous(&self, record: &Record) -> Result<()> {
        for spec in &record.config.mounts {
            if let Source::Volume(volume) = &spec.source
                && let (true, Some(name)) = (volume.anonymous, &volume.name)
                && self.volume_users(name)?.iter().all(|user| *user == record.id.as_str())
            {
                match self.rootfs.remove_volume(name) {
                    Err(error) if error.class != bulkhead_types::ErrorClass::NotFound => return Err(error.into()),
                    _ => self.tell_of("volume", "destroy", name, &[("driver", "local".into())]),
                }
            }
        }
        Ok(())
    }

    /// Removes stopped containers that fit the filters (`until`, `label`); ids and bytes freed.
    ///
    /// # Errors
    /// If a filter is malformed or one cannot be removed.
    pub fn prune_containers(&self, filters: &Filters) -> Result<(Vec<String>, u64)> {
        filters::check(filters, &["until", "label", "label!"])?;
        self.sweep_dead_monitors()?;
        let until = filters::until(filters)?;
        let (mut removed, mut freed) = (Vec::new(), 0);
        for record in self.records()? {
            let is_old = until.is_none_or(|until| clock::seconds(&record.created) < until.as_second());
            if !is_old || !filters::fits_labels(filters, &record.config.labels) {
                continue;
            }
            if !matches!(self.standing(&record)?.status, Status::Created | Status::Exited) {
                continue;
            }
            let bytes = self.rootfs.upper_size(record.id.as_str()).unwrap_or(0);
            match self.remove(record.id.as_str(), false, false) {
                Ok(()) => {
                    removed.push(record.id.to_string());
                    freed += bytes;
                }
                // Started or removed by somebody else meanwhile.
                Err(error)
                    if matches!(
                        error.class,
                        bulkhead_types::ErrorClass::Conflict | bulkhead_types::ErrorClass::NotFound
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((removed, freed))
    }
}
