//! `update`

use bulkhead_engine::UpdateRequest;

use super::{each, refuse, warn};
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words, bytes, bytes_or_unlimited, nano_cpus};
use crate::session::Session;

/// Flags of `update`.
#[derive(clap::Args, Debug)]
pub struct Update {
    /// Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)
    #[arg(long, value_name = "uint16")]
    blkio_weight: Option<u16>,
    /// Limit CPU CFS (Completely Fair Scheduler) period
    #[arg(long, value_name = "int")]
    cpu_period: Option<u64>,
    /// Limit CPU CFS (Completely Fair Scheduler) quota
    #[arg(long, value_name = "int")]
    cpu_quota: Option<u64>,
    #[arg(long, hide = true)]
    cpu_rt_period: Option<String>,
    #[arg(long, hide = true)]
    cpu_rt_runtime: Option<String>,
    /// CPU shares (relative weight)
    #[arg(short = 'c', long, value_name = "int")]
    cpu_shares: Option<u64>,
    /// Number of CPUs
    #[arg(long, value_name = "decimal", value_parser = nano_cpus)]
    cpus: Option<u64>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long)]
    cpuset_cpus: Option<String>,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long)]
    cpuset_mems: Option<String>,
    /// Memory limit
    #[arg(short = 'm', long, value_name = "bytes", value_parser = bytes)]
    memory: Option<u64>,
    /// Memory soft limit
    #[arg(long, value_name = "bytes", value_parser = bytes)]
    memory_reservation: Option<u64>,
    /// Swap limit equal to memory plus swap: -1 to enable unlimited swap
    #[arg(long, value_name = "bytes", value_parser = bytes_or_unlimited)]
    memory_swap: Option<i64>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, value_name = "int")]
    pids_limit: Option<i64>,
    /// Restart policy to apply when a container exits
    #[arg(long)]
    restart: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Update {
    const SPELLINGS: &'static [&'static str] = &["update", "container update"];
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";
    const ABOUT: &'static str = "Update configuration of one or more containers";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        let real_time = self.cpu_rt_period.is_some() || self.cpu_rt_runtime.is_some();
        refuse(
            "--cpu-rt-runtime",
            real_time,
            "real-time scheduling could starve the host: use --cpus or --cpu-shares",
        )?;
        let restart = match self.restart.as_deref() {
            None => None,
            Some(text) => {
                Some(super::create_request::restart_policy(text).map_err(|failure| Failure { code: 1, ..failure })?)
            }
        };
        let request = UpdateRequest {
            memory: self.memory,
            memory_swap: self.memory_swap,
            memory_reservation: self.memory_reservation,
            nano_cpus: self.cpus,
            cpu_quota: self.cpu_quota,
            cpu_period: self.cpu_period,
            cpu_shares: self.cpu_shares,
            cpuset_cpus: self.cpuset_cpus,
            cpuset_mems: self.cpuset_mems,
            pids_limit: self.pids_limit,
            blkio_weight: self.blkio_weight,
            restart,
        };
        let engine = session.engine()?;
        each(&self.words, |name| {
            engine.update(name, &request)?.iter().for_each(|warning| warn(warning));
            Ok(())
        })
    }
}
