//! `stop` and `kill`.

use bulkhead_plan::control::{Reply, Request};
use bulkhead_plan::handover::RestartPolicy;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use crate::control::unexpected;
use crate::engine::Engine;
use crate::model::{Error, Result};
use crate::pending::Mark;
use crate::record::{Record, Transition};
use crate::signal;

const SIGKILL: i32 = 9;

impl Engine {
    /// `signal` in Docker's words (`TERM`, `SIGTERM`, `15`); `timeout` in seconds, negative waits for ever. One that
    /// does not run is no error.
    ///
    /// # Errors
    /// `NotFound`, or a malformed signal.
    pub fn stop(&self, container: &str, signal: Option<&str>, timeout: Option<i64>) -> Result<()> {
        let record = self.find(container)?;
        if self.stop_for(&record, signal, timeout, false)? {
            self.tell(&record, "stop", &[]);
        }
        Ok(())
    }

    /// True if it ran.
    ///
    /// # Errors
    /// A malformed signal, or the monitor's refusal.
    pub(crate) fn stop_for(
        &self,
        record: &Record,
        signal: Option<&str>,
        timeout: Option<i64>,
        restart: bool,
    ) -> Result<bool> {
        let signal = signal.map(signal::parse).transpose()?;
        let id = record.id.as_str();
        if !restart {
            self.remember_stop(record)?;
        }
        if !self.is_alive(id)? {
            return Ok(false);
        }
        match self.ask(id, &Request::Stop { signal, timeout, restart })? {
            None | Some((Reply::Exited(_) | Reply::Done, _)) => {}
            Some((other, _)) => return Err(unexpected(&other)),
        }
        self.await_end(id)?;
        Ok(true)
    }

    /// So that the restart policies hold after a restart of the host, too.
    fn remember_stop(&self, record: &Record) -> Result<()> {
        if record.config.restart == RestartPolicy::No || record.stopped_by_user {
            return Ok(());
        }
        let _mark = Mark::hold(&self.layout.pending(), record.id.as_str())?;
        let Some(mut record) = Record::load(&self.layout, record.id.as_str())? else { return Ok(()) };
        record.apply(Transition::StoppedByUser)?;
        record.save(&self.layout)
    }

    /// Blocks until the container's monitor is gone.
    ///
    /// # Errors
    /// If its lock cannot be looked at.
    pub(crate) fn await_end(&self, id: &str) -> Result<()> {
        let path = self.layout.running(id).join("lock");
        let file = match rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(Error::at(&path)(errno.into())),
        };
        loop {
            match flock(&file, FlockOperation::LockShared) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Error::at(&path)(errno.into())),
            }
        }
    }

    /// Default signal `KILL`.
    ///
    /// # Errors
    /// `NotFound`, a malformed signal, Conflict in Docker's words if it does not run.
    pub fn kill(&self, container: &str, signal: Option<&str>) -> Result<()> {
        let record = self.find(container)?;
        let number = signal.map_or(Ok(SIGKILL), signal::parse)?;
        let not_running =
            || Error::conflict(format!("cannot kill container: {container}: container {} is not running", record.id));
        if !self.is_alive(record.id.as_str())? {
            return Err(not_running());
        }
        if number == SIGKILL {
            // A kill by hand is not to be answered by the restart policy.
            self.remember_stop(&record)?;
            let request = Request::Stop { signal: Some(number), timeout: Some(10), restart: false };
            self.ask(record.id.as_str(), &request)?.ok_or_else(not_running)?;
        } else {
            self.ask(record.id.as_str(), &Request::Signal { signal: number })?.ok_or_else(not_running)?;
        }
        self.tell(&record, "kill", &[("signal", number.to_string())]);
        Ok(())
    }
}
