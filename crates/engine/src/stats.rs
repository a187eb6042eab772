//! `stats`.

use bulkhead_plan::control::{Reply, Request, Stats};
use jiff::Timestamp;

use crate::control::unexpected;
use crate::engine::Engine;
use crate::host;
use crate::model::Result;
use crate::view::StatsSample;

impl Engine {
    /// One sample. One that does not run counts nothing.
    ///
    /// # Errors
    /// `NotFound`, or the monitor's refusal.
    pub fn stats(&self, container: &str) -> Result<StatsSample> {
        let record = self.find(container)?;
        let counters = match self.ask(record.id.as_str(), &Request::Stats)? {
            Some((Reply::Stats(stats), _)) => *stats,
            None => Stats::default(),
            Some((other, _)) => return Err(unexpected(&other)),
        };
        Ok(StatsSample {
            id: record.id.to_string(),
            name: record.name,
            read_at: i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX),
            counters,
            online_cpus: host::processors(),
            host_memory: host::memory(),
        })
    }
}
