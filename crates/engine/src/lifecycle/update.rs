//! `update`.

use bulkhead_plan::Limits;
use bulkhead_plan::control::Request;

use crate::engine::Engine;
use crate::model::{Error, Result};
use crate::pending::Mark;
use crate::record::{Record, Transition};
use crate::request::UpdateRequest;
use crate::resources;

impl Engine {
    /// Changes limits and the restart policy, now and for later starts. Warnings are sentences for the user.
    ///
    /// # Errors
    /// In Docker's words; nothing is changed then.
    pub fn update(&self, container: &str, request: &UpdateRequest) -> Result<Vec<String>> {
        let found = self.find(container)?;
        let _mark = Mark::hold(&self.layout.pending(), found.id.as_str())?;
        let mut record = Record::load(&self.layout, found.id.as_str())?
            .ok_or_else(|| Error::not_found(format!("No such container: {container}")))?;
        if record.config.remove && request.restart.is_some_and(|policy| policy != Default::default()) {
            return Err(Error::invalid(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ));
        }
        let before = record.config.limits.clone();
        let after = resources::changed(&before, request)?;
        if self.is_alive(record.id.as_str())? {
            let limits = Box::new(difference(&before, &after));
            self.ask(record.id.as_str(), &Request::Update { limits, restart: request.restart })?;
        }
        record.apply(Transition::Updated {
            limits: Box::new(after),
            nano_cpus: request.nano_cpus,
            restart: request.restart,
        })?;
        record.save(&self.layout)?;
        self.tell(&record, "update", &[]);
        Ok(Vec::new())
    }

    /// Published ports: none until networks exist.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn ports(&self, container: &str) -> Result<Vec<(String, String)>> {
        self.find(container).map(|_| Vec::new())
    }
}

/// What changed; the rest is `None`. No limit is the largest number on the wire.
fn difference(before: &Limits, after: &Limits) -> Limits {
    fn new<T: Clone + PartialEq>(before: &Option<T>, after: &Option<T>) -> Option<T> {
        after.clone().filter(|_| before != after)
    }
    Limits {
        memory: new(&before.memory, &after.memory).map(|bytes| if bytes == 0 { u64::MAX } else { bytes }),
        swap: new(&before.swap, &after.swap),
        memory_reservation: new(&before.memory_reservation, &after.memory_reservation),
        pids: new(&before.pids, &after.pids),
        cpu_quota: new(&before.cpu_quota, &after.cpu_quota),
        cpu_period: new(&before.cpu_period, &after.cpu_period),
        cpu_shares: new(&before.cpu_shares, &after.cpu_shares),
        cpuset_cpus: new(&before.cpuset_cpus, &after.cpuset_cpus),
        cpuset_mems: new(&before.cpuset_mems, &after.cpuset_mems),
        blkio_weight: new(&before.blkio_weight, &after.blkio_weight),
        throttle: Vec::new(),
        oom_group: after.oom_group,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told() {
        let before = Limits { memory: Some(1), pids: Some(5), ..Limits::default() };
        let after = Limits { memory: Some(0), pids: Some(5), cpu_shares: Some(7), ..Limits::default() };
        let told = difference(&before, &after);
        assert_eq!((told.memory, told.pids, told.cpu_shares), (Some(u64::MAX), None, Some(7)));
    }
}
