//! Flags that Docker has and Bulkhead cannot honour: each is an error that says so, none is ignored.

use clap::Args;

use crate::failure::{Failure, NOT_STARTED, Result};

/// Flags that are understood and refused.
#[derive(Args, Clone, Debug, Default)]
pub struct LaterFlags {
    #[arg(long, hide = true)]
    blkio_weight_device: Vec<String>,
    #[arg(long, hide = true)]
    cgroup_parent: Option<String>,
    #[arg(long, hide = true)]
    cpu_count: Option<String>,
    #[arg(long, hide = true)]
    cpu_percent: Option<String>,
    #[arg(long, hide = true)]
    cpu_rt_period: Option<String>,
    #[arg(long, hide = true)]
    cpu_rt_runtime: Option<String>,
    #[arg(long, hide = true)]
    device_cgroup_rule: Vec<String>,
    /// Notary signatures are never checked, which is Docker's default too; only asking for the check is refused.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_content_trust: Option<String>,
    #[arg(long, hide = true)]
    expose: Vec<String>,
    #[arg(long, hide = true)]
    gpus: Option<String>,
    #[arg(long, hide = true)]
    io_maxbandwidth: Option<String>,
    #[arg(long, hide = true)]
    io_maxiops: Option<String>,
    #[arg(long, hide = true)]
    ip: Option<String>,
    #[arg(long, hide = true)]
    ip6: Option<String>,
    #[arg(long, hide = true)]
    kernel_memory: Option<String>,
    #[arg(long, hide = true)]
    link: Vec<String>,
    #[arg(long, hide = true)]
    link_local_ip: Vec<String>,
    #[arg(long, hide = true)]
    mac_address: Option<String>,
    #[arg(long, hide = true)]
    memory_swappiness: Option<i64>,
    #[arg(long, hide = true, alias = "net-alias")]
    network_alias: Vec<String>,
    #[arg(long, hide = true)]
    oom_kill_disable: bool,
    #[arg(short = 'P', long, hide = true)]
    publish_all: bool,
    #[arg(long, hide = true)]
    runtime: Option<String>,
    #[arg(long, hide = true)]
    storage_opt: Vec<String>,
    #[arg(long, hide = true)]
    use_api_socket: bool,
    #[arg(long, hide = true)]
    volume_driver: Option<String>,
}

const NETWORKS: &str =
    "networks are not built yet: leave it out, or use --network host (a concession) to reach the network";
const WINDOWS: &str = "it exists on Windows only: leave it out";

impl LaterFlags {
    /// The first flag that was given is the error.
    pub fn refuse(&self) -> Result<()> {
        match self.table().iter().find(|(_, given, _)| *given) {
            None => Ok(()),
            Some((flag, _, reason)) => {
                Err(Failure { message: format!("{flag} cannot be honoured: {reason}"), code: NOT_STARTED, bare: false })
            }
        }
    }

    /// Flag, whether it was given, and why it cannot be honoured.
    fn table(&self) -> [(&'static str, bool, &'static str); 24] {
        let given = |list: &[String]| !list.is_empty();
        [
            (
                "--blkio-weight-device",
                given(&self.blkio_weight_device),
                "weights per device are not supported: use --blkio-weight or --device-read-bps",
            ),
            (
                "--cgroup-parent",
                self.cgroup_parent.is_some(),
                "each container has its own cgroup below /bulkhead: set limits with --memory, --cpus and the like",
            ),
            ("--cpu-count", self.cpu_count.is_some(), WINDOWS),
            ("--cpu-percent", self.cpu_percent.is_some(), WINDOWS),
            (
                "--cpu-rt-period",
                self.cpu_rt_period.is_some(),
                "real-time scheduling could starve the host: use --cpus or --cpu-shares",
            ),
            (
                "--cpu-rt-runtime",
                self.cpu_rt_runtime.is_some(),
                "real-time scheduling could starve the host: use --cpus or --cpu-shares",
            ),
            (
                "--device-cgroup-rule",
                given(&self.device_cgroup_rule),
                "rules without a device are not supported: name each device with --device",
            ),
            (
                "--disable-content-trust=false",
                self.disable_content_trust.as_deref() == Some("false"),
                "signatures are not checked yet: pin the image by digest",
            ),
            ("--expose", given(&self.expose), NETWORKS),
            ("--gpus", self.gpus.is_some(), "GPUs are not supported: name the device nodes with --device"),
            ("--io-maxbandwidth", self.io_maxbandwidth.is_some(), WINDOWS),
            ("--io-maxiops", self.io_maxiops.is_some(), WINDOWS),
            ("--ip", self.ip.is_some() || self.ip6.is_some() || given(&self.link_local_ip), NETWORKS),
            (
                "--kernel-memory",
                self.kernel_memory.is_some(),
                "the kernel counts kernel memory into --memory: use that",
            ),
            ("--link", given(&self.link), NETWORKS),
            ("--mac-address", self.mac_address.is_some(), NETWORKS),
            (
                "--memory-swappiness",
                self.memory_swappiness.is_some_and(|value| value != -1),
                "containers have no swap unless --memory-swap grants some: use that",
            ),
            ("--network-alias", given(&self.network_alias), NETWORKS),
            (
                "--oom-kill-disable",
                self.oom_kill_disable,
                "a container out of memory would hang for ever: raise --memory instead",
            ),
            ("--publish-all", self.publish_all, NETWORKS),
            (
                "--runtime",
                self.runtime.is_some(),
                "other runtimes are not supported: use --isolation to choose a level",
            ),
            (
                "--storage-opt",
                given(&self.storage_opt),
                "quotas on the writable layer are not supported yet: use --read-only with --tmpfs PATH:size=N",
            ),
            ("--use-api-socket", self.use_api_socket, "handing the engine's socket to a container hands it the host"),
            (
                "--volume-driver",
                self.volume_driver.as_deref().is_some_and(|driver| driver != "local"),
                "the only driver is local",
            ),
        ]
    }
}
