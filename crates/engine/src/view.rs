//! What doors show. `serde` names are Docker's, so that `--format '{{.State.Status}}'` and JSON readers work.
//! Inspect views are JSON values in the shape of Docker's Engine API v1.51.

use std::collections::BTreeMap;

use serde::Serialize;

/// One line of `ps`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)]
pub struct ContainerSummary {
    #[serde(rename = "ID")]
    pub id: String,
    pub names: Vec<String>,
    pub image: String,
    #[serde(rename = "ImageID")]
    pub image_id: String,
    /// The words that run, joined.
    pub command: String,
    /// Seconds since the epoch.
    pub created: i64,
    /// `created`, `running`, `paused`, `restarting`, `exited`, `dead`, `removing`.
    pub state: String,
    /// `Up 5 minutes (healthy)`, `Exited (0) 2 hours ago`.
    pub status: String,
    pub labels: BTreeMap<String, String>,
    /// Volume names and host paths.
    pub mounts: Vec<String>,
    pub networks: Vec<String>,
    pub ports: String,
    /// Bytes of the writable layer, and of everything; only where asked for.
    pub size_rw: Option<u64>,
    pub size_root_fs: Option<u64>,
    /// Level and number of concessions, for example `standard` or `standard -2`.
    pub isolation: String,
}

/// One line of `images`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)]
pub struct ImageSummary {
    #[serde(rename = "ID")]
    pub id: String,
    /// `<none>` for a dangling one.
    pub repository: String,
    pub tag: String,
    pub digest: String,
    /// Seconds since the epoch.
    pub created: i64,
    pub size: u64,
    pub labels: BTreeMap<String, String>,
    /// Containers that use it.
    pub containers: u64,
}

/// One line of `history`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)]
pub struct HistoryLine {
    #[serde(rename = "ID")]
    pub id: String,
    pub created: i64,
    pub created_by: String,
    pub size: u64,
    pub comment: String,
}

/// One sample of `stats`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)]
pub struct StatsSample {
    #[serde(rename = "ID")]
    pub id: String,
    pub name: String,
    /// Nanoseconds since the epoch of the sample.
    pub read_at: i64,
    pub counters: bulkhead_plan::control::Stats,
    /// Processors online, for percentages.
    pub online_cpus: u64,
    /// Bytes of the host.
    pub host_memory: u64,
}

/// An event, one JSON object a line in Docker's shape.
#[derive(Clone, Debug, Default, Serialize, serde::Deserialize)]
#[allow(missing_docs)]
pub struct Event {
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub from: String,
    #[serde(rename = "Type")]
    pub kind: String,
    #[serde(rename = "Action")]
    pub action: String,
    #[serde(rename = "Actor")]
    pub actor: Actor,
    pub scope: String,
    pub time: i64,
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// Whom an event is about.
#[derive(Clone, Debug, Default, Serialize, serde::Deserialize)]
#[allow(missing_docs)]
pub struct Actor {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}

/// One line of `system df`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)]
pub struct DiskUsage {
    #[serde(rename = "Type")]
    pub kind: String,
    pub total_count: u64,
    pub active: u64,
    pub size: u64,
    pub reclaimable: u64,
}
