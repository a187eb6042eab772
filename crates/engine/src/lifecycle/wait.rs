//! `wait`.

use std::time::Duration;

use bulkhead_plan::control::{Exited, Reply, Request};

use crate::control::unexpected;
use crate::engine::Engine;
use crate::model::{Result, WaitCondition, Waited};
use crate::record::Record;

/// How often is looked for something that nobody tells.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Engine {
    /// Blocks until the condition holds.
    ///
    /// # Errors
    /// `NotFound`, or the monitor's refusal.
    pub fn wait(&self, container: &str, condition: WaitCondition) -> Result<Waited> {
        let record = self.find(container)?;
        let id = record.id.as_str();
        if condition == WaitCondition::NextExit {
            while !self.is_alive(id)? {
                if Record::load(&self.layout, id)?.is_none() {
                    return self.recorded_end(&record);
                }
                std::thread::sleep(LOOK_EVERY);
            }
        }
        let mut waited = self.next_end(&record)?;
        if condition == WaitCondition::Removed {
            while self.layout.container(id).exists() {
                if let Some(exit) = self.last_exit(id) {
                    waited = of(exit);
                }
                std::thread::sleep(LOOK_EVERY);
            }
        }
        Ok(waited)
    }

    fn next_end(&self, record: &Record) -> Result<Waited> {
        match self.ask(record.id.as_str(), &Request::Wait)? {
            Some((Reply::Exited(exited), _)) => Ok(of(exited)),
            Some((other, _)) => Err(unexpected(&other)),
            None => {
                self.await_end(record.id.as_str())?;
                self.recorded_end(record)
            }
        }
    }

    fn recorded_end(&self, record: &Record) -> Result<Waited> {
        let standing = self.standing(record)?;
        let code = standing.exit_code(record);
        Ok(standing
            .exit
            .map_or_else(|| Waited { status: bulkhead_types::ExitStatus::Code(code), error: String::new() }, of))
    }
}

fn of(exited: Exited) -> Waited {
    Waited { status: exited.status, error: exited.error }
}
