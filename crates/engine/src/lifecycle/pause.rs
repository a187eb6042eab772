//! `pause` and `unpause`.

use bulkhead_plan::control::Request;

use crate::engine::Engine;
use crate::model::{Error, Result};
use crate::standing::Status;

impl Engine {
    /// Freezes.
    ///
    /// # Errors
    /// Conflict in Docker's words if it does not run or is frozen already.
    pub fn pause(&self, container: &str) -> Result<()> {
        let record = self.find(container)?;
        match self.standing(&record)?.status {
            Status::Running => {}
            Status::Paused => return Err(Error::conflict(format!("container {} is already paused", record.id))),
            Status::Restarting => {
                return Err(Error::conflict(format!(
                    "container {} is restarting, wait until the container is running",
                    record.id
                )));
            }
            _ => return Err(Error::conflict(format!("container {} is not running", record.id))),
        }
        self.ask_running(&record, &Request::Pause)?;
        self.tell(&record, "pause", &[]);
        Ok(())
    }

    /// Thaws.
    ///
    /// # Errors
    /// Conflict in Docker's words if it is not frozen.
    pub fn unpause(&self, container: &str) -> Result<()> {
        let record = self.find(container)?;
        if self.standing(&record)?.status != Status::Paused {
            return Err(Error::conflict(format!("container {} is not paused", record.id)));
        }
        self.ask_running(&record, &Request::Unpause)?;
        self.tell(&record, "unpause", &[]);
        Ok(())
    }
}
