//! What a foreign caller asks its cgroup for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that both versions of cgroups can be asked for. `None` leaves a thing as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// Memory.
    pub memory: Option<MemoryWish>,
    /// Processor time.
    pub cpu: Option<CpuWish>,
    /// Most tasks; below 1 none.
    pub pids: Option<i64>,
    /// Disk traffic.
    pub block: Option<BlockWish>,
    /// Page size as the kernel writes it (`2MB`), and bytes.
    pub hugepages: Option<Vec<(String, u64)>>,
    /// `net_cls` class and `net_prio` priorities.
    pub network: Option<NetworkWish>,
    /// Device, handles, objects.
    pub rdma: Option<BTreeMap<String, RdmaWish>>,
    /// In their order; a later one wins.
    pub devices: Option<Vec<DeviceWish>>,
    /// Files of version 2 by name, written as they are.
    pub unified: Option<BTreeMap<String, String>>,
}

/// Bytes; below 0 means unlimited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct MemoryWish {
    pub limit: Option<i64>,
    pub reservation: Option<i64>,
    /// Memory and swap together.
    pub swap: Option<i64>,
    pub kernel: Option<i64>,
    pub kernel_tcp: Option<i64>,
    pub swappiness: Option<u64>,
    pub disable_oom_killer: Option<bool>,
    pub use_hierarchy: Option<bool>,
    pub check_before_update: Option<bool>,
}

/// Times in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct CpuWish {
    pub shares: Option<u64>,
    pub quota: Option<i64>,
    pub burst: Option<u64>,
    pub period: Option<u64>,
    pub realtime_runtime: Option<i64>,
    pub realtime_period: Option<u64>,
    pub cpus: Option<String>,
    pub mems: Option<String>,
    pub idle: Option<i64>,
}

/// Weights and throttles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct BlockWish {
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
    pub weights: Option<Vec<BlockWeight>>,
    pub read_bps: Option<Vec<BlockRate>>,
    pub write_bps: Option<Vec<BlockRate>>,
    pub read_iops: Option<Vec<BlockRate>>,
    pub write_iops: Option<Vec<BlockRate>>,
}

/// Weight of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct BlockWeight {
    pub major: i64,
    pub minor: i64,
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
}

/// Rate of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct BlockRate {
    pub major: i64,
    pub minor: i64,
    pub rate: u64,
}

/// Version 1's network controllers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct NetworkWish {
    pub class: Option<u32>,
    pub priorities: Option<Vec<(String, u32)>>,
}

/// Limits of one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RdmaWish {
    pub handles: Option<u32>,
    pub objects: Option<u32>,
}

/// One rule of the device cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceWish {
    /// Allowed or not.
    pub allow: bool,
    /// `a`, `b` or `c`; none means `a`.
    pub kind: Option<char>,
    /// None: any.
    pub major: Option<i64>,
    /// None: any.
    pub minor: Option<i64>,
    /// Of `rwm`; none means all.
    pub access: Option<String>,
}
