//! Puts right what killed processes and a restarted host left behind.
//!
//! | found | means | done |
//! |---|---|---|
//! | mark nobody holds, `create` | creation was cut off | removed, unless the record was written |
//! | mark nobody holds, `remove` | removal was cut off | finished |
//! | mark nobody holds, `start` | start was cut off | run-time directory and cgroup removed if no monitor lives |
//! | run-time directory nobody holds | its monitor died, or the end was orderly | cgroup removed; `--rm` finished |
//! | no `ready` file | the host was restarted | all of the above for every container, then restart policies |

use bulkhead_plan::handover::RestartPolicy;
use bulkhead_types::ContainerId;

use crate::engine::Engine;
use crate::host;
use crate::layout;
use crate::lifecycle::repair_cgroup;
use crate::model::{Error, Result};
use crate::names;
use crate::pending::Mark;
use crate::record::{Phase, Record};

impl Engine {
    /// Finishes or undoes operations whose process died. Cheap if there are none: one directory is read.
    ///
    /// # Errors
    /// If something cannot be put right.
    pub(crate) fn repair_pending(&self) -> Result<()> {
        for id in layout::names_in(&self.layout.pending())? {
            if let Some(mark) = Mark::pick_up(&self.layout.pending(), &id)? {
                self.repair_one(&id, mark)?;
            }
        }
        Ok(())
    }

    fn repair_one(&self, id: &str, mut mark: Mark) -> Result<()> {
        let notes = mark.notes()?;
        let record = Record::load(&self.layout, id);
        if self.is_alive(id)? {
            return Ok(());
        }
        for line in notes.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some("rename"), Some(old), Some(new)) => self.repair_rename(id, old, new)?,
                (Some("create"), Some(name), _) if matches!(record, Ok(None)) => self.discard(id, name)?,
                _ => {}
            }
        }
        match record {
            Ok(Some(mut record)) if record.phase == Phase::Removing || notes.contains("remove ") => {
                self.clear_run(id)?;
                self.take_away(&mut record, true, mark)
            }
            Ok(Some(record)) if notes.contains("start") => self.after_dead_monitor(record, mark),
            Ok(None) => self.discard_nameless(id, &notes),
            _ => Ok(()),
        }
    }

    /// No record: whatever name was noted goes, too.
    fn discard_nameless(&self, id: &str, notes: &str) -> Result<()> {
        if id.parse::<ContainerId>().is_err() {
            return Ok(());
        }
        let name = notes.split_whitespace().nth(1).unwrap_or_default();
        self.discard(id, name)
    }

    fn repair_rename(&self, id: &str, old: &str, new: &str) -> Result<()> {
        let Ok(Some(record)) = Record::load(&self.layout, id) else { return Ok(()) };
        for name in [old, new] {
            if record.name != name {
                names::release(&self.layout, name, &record.id)?;
            }
        }
        Ok(())
    }

    /// Looks at every run-time directory: one whose lock nobody holds belongs to no living container.
    ///
    /// # Errors
    /// If something cannot be put right.
    pub(crate) fn sweep_dead_monitors(&self) -> Result<()> {
        for id in layout::names_in(&self.layout.run.join("containers"))? {
            let orderly = !self.layout.running(&id).join("state.json").exists();
            let is_removal = || matches!(Record::load(&self.layout, &id), Ok(Some(record)) if record.config.remove);
            if self.is_alive(&id)? || (orderly && !is_removal()) {
                continue;
            }
            // Whoever holds the mark takes care of it.
            let Some(mark) = Mark::try_hold(&self.layout.pending(), &id)? else { continue };
            if self.is_alive(&id)? {
                continue;
            }
            match Record::load(&self.layout, &id)? {
                Some(record) => self.after_dead_monitor(record, mark)?,
                None => self.clear_run(&id)?,
            }
        }
        let path = self.layout.ready();
        std::fs::write(&path, b"").map_err(Error::at(&path))
    }

    /// Clears away what a dead monitor left of this container. False if the container went with it (`--rm`).
    ///
    /// # Errors
    /// If something cannot be put right.
    pub(crate) fn notice_dead_monitor(&self, record: &Record) -> Result<bool> {
        let id = record.id.as_str();
        if !self.layout.running(id).join("state.json").exists() || self.is_alive(id)? {
            return Ok(true);
        }
        // Whoever holds the mark takes care of it: it may be starting just now.
        let Some(mark) = Mark::try_hold(&self.layout.pending(), id)? else { return Ok(true) };
        if self.is_alive(id)? {
            return Ok(true);
        }
        let is_removed = record.config.remove;
        self.after_dead_monitor(record.clone(), mark)?;
        Ok(!is_removed)
    }

    fn after_dead_monitor(&self, mut record: Record, mark: Mark) -> Result<()> {
        self.clear_run(record.id.as_str())?;
        if record.config.remove {
            return self.take_away(&mut record, true, mark);
        }
        Ok(())
    }

    /// The run-time directory and the cgroup of a container whose monitor is gone.
    pub(crate) fn clear_run(&self, id: &str) -> Result<()> {
        let Ok(id) = id.parse::<ContainerId>() else { return Ok(()) };
        let run = self.layout.running(id.as_str());
        if run.join("state.json").exists() && host::is_root() && !crate::rootless::is_inside() {
            repair_cgroup(&format!("/bulkhead/{id}"))?;
        }
        layout::remove_dir(&run)
    }

    /// First command since the host started: no monitor lives, nothing is mounted.
    ///
    /// # Errors
    /// If something cannot be put right.
    pub(crate) fn repair_after_boot(&self) -> Result<()> {
        let only_one = Mark::hold(&self.layout.run, "boot")?;
        if self.layout.ready().exists() {
            return Ok(());
        }
        self.repair_pending()?;
        let mut to_start = Vec::new();
        for id in layout::names_in(&self.layout.root.join("containers"))? {
            let Some(mark) = Mark::try_hold(&self.layout.pending(), &id)? else { continue };
            if self.is_alive(&id)? {
                continue;
            }
            match Record::load(&self.layout, &id) {
                Ok(Some(mut record)) if record.phase == Phase::Removing || record.config.remove => {
                    self.take_away(&mut record, true, mark)?;
                }
                Ok(Some(record)) if starts_at_boot(&record) => to_start.push(record.id),
                Ok(None) => self.discard_nameless(&id, "")?,
                // A record that cannot be read is for the user to remove.
                Ok(Some(_)) | Err(_) => {}
            }
        }
        self.forget_strays()?;
        let path = self.layout.ready();
        std::fs::write(&path, b"").map_err(Error::at(&path))?;
        drop(only_one);
        for id in to_start {
            // Its failure is in its record; the verb that came first must not fail for it.
            drop(self.restart_by_policy(&id));
        }
        Ok(())
    }

    /// Names, upper directories and ranges of containers that have no record.
    fn forget_strays(&self) -> Result<()> {
        let is_stray = |id: &str| !self.layout.container(id).exists() && !self.layout.pending().join(id).exists();
        for name in layout::names_in(&self.layout.root.join("names"))? {
            if let Some(id) = names::holder(&self.layout, &name)?
                && is_stray(id.as_str())
            {
                names::release(&self.layout, &name, &id)?;
            }
        }
        for id in self.rootfs.uppers()?.iter().filter(|id| is_stray(id)) {
            self.rootfs.remove_upper(id)?;
        }
        for (id, _) in self.rootfs.ranges()?.iter().filter(|(id, _)| is_stray(id)) {
            self.rootfs.release_range(id)?;
        }
        Ok(())
    }
}

fn starts_at_boot(record: &Record) -> bool {
    match record.config.restart {
        RestartPolicy::Always => record.phase == Phase::Started,
        RestartPolicy::UnlessStopped => record.phase == Phase::Started && !record.stopped_by_user,
        RestartPolicy::No | RestartPolicy::OnFailure { .. } => false,
    }
}
