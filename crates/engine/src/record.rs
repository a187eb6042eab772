//! What is known of a container on disk: `config.json` in its durable directory.
//!
//! ```text
//!            start            remove
//! Created ───────────► Started ─────► Removing
//!    └──────────────────────────────────▲
//! ```
//!
//! Whether a started container *runs* is never recorded: its monitor's lock tells (`standing`).

use std::collections::BTreeMap;

use bulkhead_image::config::Healthcheck;
use bulkhead_plan::handover::{LogPolicy, RestartPolicy};
use bulkhead_plan::{Concession, Level, Limits, Rlimit};
use bulkhead_types::{ContainerId, Digest};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::layout::{self, Layout};
use crate::model::{Error, Result};
use crate::mounts::MountSpec;

/// Version of the file's form.
const VERSION: u32 = 1;

/// How far a container got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// Never ran.
    #[default]
    Created,
    /// Ran at least once.
    Started,
    /// Is being taken away.
    Removing,
}

/// What happens to a record; see [`Record::apply`].
#[derive(Clone, Debug)]
pub(crate) enum Transition {
    /// Its process runs, started by a user or (`by_policy`) again by its restart policy.
    Started { by_policy: bool },
    /// It could not be started.
    NotStarted { error: String, exit_code: u8 },
    /// A user stopped it: `unless-stopped` holds.
    StoppedByUser,
    /// It is being taken away.
    Removing,
    /// It has another name.
    Renamed(String),
    /// Other limits, another restart policy.
    Updated { limits: Box<Limits>, nano_cpus: Option<u64>, restart: Option<RestartPolicy> },
}

/// A container as it was asked for and as far as it got.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    pub id: ContainerId,
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// As the user wrote it.
    pub image: String,
    pub image_id: Digest,
    /// Bottom first.
    pub layers: Vec<Digest>,
    pub platform: String,
    pub config: ContainerConfig,
    /// Openings of the plan, as sealed when it was created.
    pub concessions: Vec<Concession>,
    pub phase: Phase,
    /// RFC 3339, of the last start.
    pub started_at: Option<String>,
    /// Starts by the restart policy since the last one by a user.
    pub restarts: u32,
    pub stopped_by_user: bool,
    /// Why the last start failed, with Docker's exit code.
    pub start_error: Option<(String, u8)>,
}

/// Request and image configuration merged, every contradiction already refused.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct ContainerConfig {
    pub level: Level,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub env: Vec<String>,
    pub workdir: String,
    pub user: String,
    pub group_add: Vec<String>,
    pub hostname: String,
    pub domainname: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub exposed_ports: Vec<String>,
    pub image_volumes: Vec<String>,
    pub tty: bool,
    pub tty_size: Option<(u16, u16)>,
    pub stdin_open: bool,
    pub stdin_once: bool,
    pub attach: (bool, bool, bool),
    pub init: bool,
    pub read_only: bool,
    pub mounts: Vec<MountSpec>,
    /// `-v` as the user wrote it, for `inspect`.
    pub binds: Vec<String>,
    pub volumes_from: Vec<String>,
    pub add_host: Vec<String>,
    pub dns: Vec<String>,
    pub dns_search: Vec<String>,
    pub dns_option: Vec<String>,
    pub limits: Limits,
    pub nano_cpus: u64,
    pub rlimits: Vec<Rlimit>,
    pub shm_size: Option<u64>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub security_opt: Vec<String>,
    pub sysctls: BTreeMap<String, String>,
    pub devices: Vec<String>,
    pub privileged: bool,
    /// `default`, `none` or `host`.
    pub network: String,
    pub host_pid: bool,
    pub host_ipc: bool,
    pub host_uts: bool,
    pub host_cgroup: bool,
    pub oom_score_adj: i32,
    pub restart: RestartPolicy,
    pub remove: bool,
    /// As the user or the image wrote it.
    pub stop_signal: Option<String>,
    pub stop_timeout: Option<u32>,
    pub health: Option<Healthcheck>,
    pub shell: Vec<String>,
    pub logs: Option<LogPolicy>,
    pub log_opts: BTreeMap<String, String>,
}

impl ContainerConfig {
    /// The words that run.
    pub fn args(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.command).cloned().collect()
    }
}

/// What a new record is made of.
pub(crate) struct NewRecord {
    pub id: ContainerId,
    pub name: String,
    pub image: String,
    pub image_id: Digest,
    pub layers: Vec<Digest>,
    pub platform: String,
    pub config: ContainerConfig,
    pub concessions: Vec<Concession>,
}

impl Record {
    /// A created container.
    pub fn new(from: NewRecord) -> Self {
        Self {
            version: VERSION,
            id: from.id,
            name: from.name,
            created: clock::now(),
            image: from.image,
            image_id: from.image_id,
            layers: from.layers,
            platform: from.platform,
            config: from.config,
            concessions: from.concessions,
            phase: Phase::Created,
            started_at: None,
            restarts: 0,
            stopped_by_user: false,
            start_error: None,
        }
    }

    /// The only way in which a record changes.
    ///
    /// # Errors
    /// If the container is being removed.
    pub fn apply(&mut self, transition: Transition) -> Result<()> {
        if self.phase == Phase::Removing && !matches!(transition, Transition::Removing) {
            return Err(Error::conflict(format!(
                "container {} is marked for removal and cannot be changed",
                self.name
            )));
        }
        match transition {
            Transition::Started { by_policy } => {
                self.phase = Phase::Started;
                self.started_at = Some(clock::now());
                self.restarts = if by_policy { self.restarts + 1 } else { 0 };
                self.stopped_by_user = false;
                self.start_error = None;
            }
            Transition::NotStarted { error, exit_code } => self.start_error = Some((error, exit_code)),
            Transition::StoppedByUser => self.stopped_by_user = true,
            Transition::Removing => self.phase = Phase::Removing,
            Transition::Renamed(name) => self.name = name,
            Transition::Updated { limits, nano_cpus, restart } => {
                self.config.limits = *limits;
                self.config.nano_cpus = nano_cpus.unwrap_or(self.config.nano_cpus);
                self.config.restart = restart.unwrap_or(self.config.restart);
            }
        }
        Ok(())
    }

    /// Reads a record; `None` if there is none.
    ///
    /// # Errors
    /// If it is damaged or of another version.
    pub fn load(layout: &Layout, id: &str) -> Result<Option<Self>> {
        let path = layout.record(id);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::at(&path)(error)),
        };
        let record: Self = serde_json::from_slice(&bytes).map_err(|error| {
            Error::internal(format!("{}: damaged record: {error}; remove it with bulkhead rm -f {id}", path.display()))
        })?;
        if record.version == VERSION {
            return Ok(Some(record));
        }
        Err(Error::unsupported(format!(
            "{}: version {} of another bulkhead; this one reads {VERSION}",
            path.display(),
            record.version
        )))
    }

    /// Writes it. What `--rm` removes anyway need not survive a power cut.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, layout: &Layout) -> Result<()> {
        let path = layout.record(self.id.as_str());
        let bytes = serde_json::to_vec(self).map_err(|error| Error::internal(error.to_string()))?;
        layout::replace(&path, &bytes, !self.config.remove)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> Record {
        Record::new(NewRecord {
            id: ContainerId::from_random([7; 32]),
            name: "web".into(),
            image: "debian".into(),
            image_id: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
            layers: Vec::new(),
            platform: "linux/amd64".into(),
            config: ContainerConfig { command: vec!["true".into()], ..ContainerConfig::default() },
            concessions: Vec::new(),
        })
    }

    #[test]
    fn a_record_survives_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { root: dir.path().join("root"), run: dir.path().join("run") };
        layout.create().unwrap();
        let record = sample();
        layout::make_private(&layout.container(record.id.as_str())).unwrap();
        assert!(Record::load(&layout, record.id.as_str()).unwrap().is_none());
        record.save(&layout).unwrap();
        let read = Record::load(&layout, record.id.as_str()).unwrap().unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::to_value(&record).unwrap());
    }

    #[test]
    fn nothing_comes_back_from_removal() {
        let mut record = sample();
        record.apply(Transition::Started { by_policy: false }).unwrap();
        record.apply(Transition::Started { by_policy: true }).unwrap();
        assert_eq!((record.phase, record.restarts), (Phase::Started, 1));
        record.apply(Transition::Removing).unwrap();
        assert!(record.apply(Transition::Started { by_policy: false }).is_err());
        record.apply(Transition::Removing).unwrap();
    }
}
