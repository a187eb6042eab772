//! `exec`: the monitor makes the process; we only ask.

use std::os::fd::{AsFd as _, BorrowedFd};

use bulkhead_plan::Capability;
use bulkhead_plan::control::{Exec, Reply, Request};
use bulkhead_types::ExitStatus;

use crate::control::{receive, send, unexpected};
use crate::engine::Engine;
use crate::model::{Error, ExecSession, ExecStdio, Result};
use crate::mounts::clean;
use crate::request::ExecRequest;
use crate::standing::Status;

use super::process_of;

impl Engine {
    /// Runs a process inside a running container. `stdio` unless the request has a terminal.
    ///
    /// # Errors
    /// Conflict in Docker's words if it does not run; 126 and 127 from the program.
    pub fn exec(&self, container: &str, request: &ExecRequest, stdio: Option<ExecStdio>) -> Result<ExecSession> {
        let record = self.find(container)?;
        let exec = exec_of(&record.config, request)?;
        let Some(channel) = self.connect(record.id.as_str())? else {
            return Err(Error::conflict(format!("container {} is not running", record.id)));
        };
        let fds: Vec<BorrowedFd<'_>> = match (&stdio, request.terminal) {
            (Some(stdio), None) => stdio.iter().map(|fd| fd.as_fd()).collect(),
            (None, None) => return Err(Error::internal("exec without a terminal needs three descriptors")),
            (_, Some(_)) => Vec::new(),
        };
        send(&channel, &Request::Exec(Box::new(exec)), &fds)?;
        let session = match receive(&channel) {
            Ok(Some((Reply::ExecStarted { pid }, mut fds))) => ExecSession { channel, terminal: fds.pop(), pid },
            Ok(Some((other, _))) => return Err(unexpected(&other)),
            Ok(None) => return Err(Error::conflict(format!("container {} is not running", record.id))),
            Err(error) if self.standing(&record)?.status == Status::Paused => {
                return Err(Error {
                    message: format!("Container {container} is paused, unpause the container before exec: {error}"),
                    ..error
                });
            }
            Err(error) => return Err(error),
        };
        Ok(session)
    }
}

fn exec_of(config: &crate::record::ContainerConfig, request: &ExecRequest) -> Result<Exec> {
    if request.command.is_empty() || request.command.iter().all(String::is_empty) {
        return Err(Error::invalid("No exec command specified"));
    }
    let mut process = process_of(config);
    process.args.clone_from(&request.command);
    process.terminal = request.terminal;
    if request.terminal.is_some() && !config.tty {
        process.env.push("TERM=xterm".into());
    }
    for entry in &request.env {
        let key = entry.split('=').next().unwrap_or_default();
        process.env.retain(|other| other.split('=').next() != Some(key));
        process.env.push(entry.clone());
    }
    if let Some(user) = &request.user {
        process.user.clone_from(user);
        process.groups.clear();
    }
    if let Some(workdir) = &request.workdir {
        if !workdir.starts_with('/') {
            return Err(Error::invalid(format!("Cwd must be an absolute path: {workdir:?}")));
        }
        process.cwd = clean(workdir);
    }
    let capabilities = request.privileged.then(|| Capability::ALL.to_vec());
    Ok(Exec { process, capabilities, own_program: false })
}

impl ExecSession {
    /// Size of the terminal.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn resize(&self, size: bulkhead_plan::TerminalSize) -> Result<()> {
        send(&self.channel, &Request::Resize(size), &[])
    }

    /// A signal for this process.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn signal(&self, signal: i32) -> Result<()> {
        send(&self.channel, &Request::Signal { signal }, &[])
    }

    /// Blocks until the process has ended.
    ///
    /// # Errors
    /// If the monitor's reply cannot be read.
    pub fn wait(&self) -> Result<ExitStatus> {
        loop {
            match receive(&self.channel)? {
                Some((Reply::ExecExited { status }, _)) => return Ok(status),
                // The container ended, and every process in it.
                None => return Ok(ExitStatus::Signal(9)),
                Some((Reply::Done, _)) => {}
                Some((other, _)) => return Err(unexpected(&other)),
            }
        }
    }

    /// To poll for readability: the process has ended.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ContainerConfig;

    #[test]
    fn the_request_goes_over_the_container() {
        let config = ContainerConfig {
            env: vec!["A=1".into()],
            user: "app".into(),
            workdir: "/srv".into(),
            group_add: vec!["10".into()],
            ..Default::default()
        };
        let mut request = ExecRequest { command: vec!["id".into()], env: vec!["A=2".into()], ..Default::default() };
        let exec = exec_of(&config, &request).unwrap();
        assert_eq!(exec.process.user, "app");
        assert_eq!(exec.process.cwd, "/srv");
        assert!(exec.process.env.contains(&"A=2".to_owned()) && !exec.process.env.contains(&"A=1".to_owned()));
        request.user = Some("0".into());
        assert!(exec_of(&config, &request).unwrap().process.groups.is_empty());
        request.workdir = Some("x".into());
        assert!(exec_of(&config, &request).is_err());
        request.command.clear();
        assert_eq!(exec_of(&config, &request).unwrap_err().message, "No exec command specified");
    }
}
