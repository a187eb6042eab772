//! `start`: open, seal, hand over. Everything that a failed start made is undone by dropping it.

use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_plan::control::{Reply, Request, Streams};
use bulkhead_plan::handover::{HandOver, LogDriver, LogPolicy, RestartPolicy};
use bulkhead_plan::{Mount, MountFlags, MountSource, Process};
use bulkhead_types::ContainerId;

use crate::control::open_dir;
use crate::engine::Engine;
use crate::layout;
use crate::model::{Attachment, Error, Result, StartedContainer};
use crate::pending::Mark;
use crate::record::{Record, Transition};
use crate::{health, host, signal};

use super::handover::hand_over;
use super::materials::{attachment_pair, own_executable};
use super::wishes;

/// Where our executable lies in a throw-away cell: `/dev` is memory, so nothing of it stays.
const PROGRAM: &str = "/dev/.bulkhead";

impl Engine {
    /// Starts a created or stopped container. With `attach`, the attachment exists before the process does.
    ///
    /// # Errors
    /// `NotFound`; what hindered the start, with Docker's exit code (125, 126, 127).
    pub fn start(&self, container: &str, attach: Option<Streams>) -> Result<StartedContainer> {
        let id = self.find(container)?.id;
        self.start_by(&id, attach, false)
    }

    /// Stop (if it runs) and start.
    ///
    /// # Errors
    /// As `stop` and `start`.
    pub fn restart(&self, container: &str, signal: Option<&str>, timeout: Option<i64>) -> Result<()> {
        let record = self.find(container)?;
        self.stop_for(&record, signal, timeout, true)?;
        self.start_by(&record.id, None, false)?;
        self.tell(&record, "restart", &[]);
        Ok(())
    }

    /// `internal restart ID`: called by a monitor whose container is to start again by its policy.
    ///
    /// # Errors
    /// As `start`.
    pub fn restart_by_policy(&self, id: &ContainerId) -> Result<()> {
        let Some(record) = Record::load(&self.layout, id.as_str())? else { return Ok(()) };
        if record.stopped_by_user && record.config.restart != RestartPolicy::Always {
            return Ok(());
        }
        self.start_by(id, None, true).map(|_| ())
    }

    fn start_by(&self, id: &ContainerId, attach: Option<Streams>, by_policy: bool) -> Result<StartedContainer> {
        let mut mark = Mark::hold(&self.layout.pending(), id.as_str())?;
        let mut record = Record::load(&self.layout, id.as_str())?
            .ok_or_else(|| Error::not_found(format!("No such container: {id}")))?;
        if self.runs_already(&record)? {
            drop(mark);
            let attachment = attach.map(|streams| self.attach(id.as_str(), streams)).transpose()?;
            return Ok(StartedContainer { id: id.clone(), warnings: Vec::new(), attachment });
        }
        mark.note("start")?;
        let (ours, theirs) = attach.map(attachment_pair).transpose()?.unzip();
        match self.launch(&record, theirs, by_policy) {
            Ok(warnings) => {
                record.apply(Transition::Started { by_policy })?;
                if !record.config.remove {
                    record.save(&self.layout)?;
                }
                // The event is the monitor's: a process that ends at once must not die before it started.
                let terminal = record.config.tty;
                let attachment = ours.map(|channel| Attachment { channel, terminal });
                Ok(StartedContainer { id: id.clone(), warnings, attachment })
            }
            Err(error) => {
                self.after_failed_start(&mut record, &error, mark)?;
                Err(error)
            }
        }
    }

    /// True if its process runs. One whose monitor is about to end, or waits to start it again, is waited for.
    fn runs_already(&self, record: &Record) -> Result<bool> {
        let id = record.id.as_str();
        if !self.is_alive(id)? {
            return Ok(false);
        }
        match self.ask(id, &Request::State) {
            Ok(Some((Reply::State(state), _))) if state.pid != 0 => return Ok(true),
            Ok(Some(_)) => {
                self.ask(id, &Request::Stop { signal: None, timeout: None, restart: true })?;
            }
            Ok(None) | Err(_) => {}
        }
        self.await_end(id)?;
        Ok(false)
    }

    /// Opens, seals, hands over; the warnings.
    fn launch(&self, record: &Record, attach: Option<(OwnedFd, Streams)>, by_policy: bool) -> Result<Vec<String>> {
        let id = record.id.as_str();
        let range = self.rootfs.lease_range(id).or_else(|error| self.lease_from_stopped(id, error.into()))?;
        let ids = range.container_map();
        let materials = self.materials(record, &ids, attach)?;
        let plan = wishes::seal(&record.config, ids, materials.mounts, materials.host_mounts)?;
        let path = self.layout.running(id).join("plan.json");
        let json = serde_json::to_vec(&plan).map_err(|error| Error::internal(error.to_string()))?;
        std::fs::write(&path, json).map_err(Error::at(&path))?;
        let config = &record.config;
        let mut warnings = Vec::new();
        let cgroup = self.cgroup_for(record, &mut warnings);
        let message = HandOver {
            container: record.id.clone(),
            name: record.name.clone(),
            handles: materials.handles,
            logs: config.logs.clone().ok_or_else(|| Error::internal(format!("{id}: the record has no log policy")))?,
            health: config
                .health
                .as_ref()
                .and_then(|check| health::for_monitor(check, &config.shell, plan.process.clone())),
            restart: config.restart,
            restarts: if by_policy { record.restarts + 1 } else { 0 },
            stdin_open: config.stdin_open,
            stdin_once: config.stdin_once,
            remove: config.remove,
            stop_signal: config.stop_signal.as_deref().map_or(Ok(15), signal::parse)?,
            stop_timeout: config.stop_timeout.unwrap_or(10),
            engine_args: self.arguments.clone(),
            cgroup,
            attributes: self.attributes(record),
            plan,
        };
        let started = hand_over(&message, materials.bag)?;
        self.rootfs.settle();
        warnings.extend(started.warnings);
        Ok(warnings)
    }

    /// An ordinary user has no cgroups unless they were delegated to him.
    fn cgroup_for(&self, record: &Record, warnings: &mut Vec<String>) -> Option<String> {
        if host::is_root() && !crate::rootless::is_inside() {
            return Some(wishes::cgroup(&record.id));
        }
        warnings.push(
            "Limits of memory, processor and processes are not in force: no cgroup is delegated to this user. Run as \
             root, or delegate one (systemctl edit user@.service: Delegate=yes on a host with cgroup v2)."
                .into(),
        );
        None
    }

    /// Every range is lent: those of containers that do not run are free to take, since no file carries them.
    fn lease_from_stopped(&self, id: &str, error: Error) -> Result<bulkhead_types::IdRange> {
        let mut freed = false;
        for (holder, _) in self.rootfs.ranges()? {
            if holder != id && !self.layout.pending().join(&holder).exists() && !self.is_alive(&holder)? {
                self.rootfs.release_range(&holder)?;
                freed = true;
            }
        }
        if freed { self.rootfs.lease_range(id).map_err(Error::from) } else { Err(error) }
    }

    /// A `--rm` container that cannot start is removed at once, as Docker does; another one remembers why.
    fn after_failed_start(&self, record: &mut Record, error: &Error, mark: Mark) -> Result<()> {
        layout::remove_dir(&self.layout.running(record.id.as_str()))?;
        if record.config.remove {
            return self.take_away(record, true, mark);
        }
        let exit_code = error.exit_code.unwrap_or(125);
        record.apply(Transition::NotStarted { error: error.message.clone(), exit_code })?;
        record.save(&self.layout)
    }
}

impl Engine {
    /// A throw-away cell on a stopped container's root, with our own executable as its only process. The caller holds
    /// the container's mark and takes the run-time directory away.
    ///
    /// # Errors
    /// What hinders the start.
    pub(crate) fn start_throw_away(&self, record: &Record, process: Process) -> Result<Attachment> {
        let id = record.id.as_str();
        let ids = self.rootfs.lease_range(id)?.container_map();
        let streams = Streams { stdin: true, stdout: true, stderr: true };
        let (channel, theirs) = attachment_pair(streams)?;
        let mut materials = self.materials(record, &ids, Some(theirs))?;
        // Its end, its log and its events are nobody's business.
        let scratch = self.layout.running(id).join("copy");
        layout::make_private(&scratch)?;
        let null =
            std::fs::OpenOptions::new().append(true).open("/dev/null").map_err(Error::at("/dev/null".as_ref()))?;
        materials.handles.data_dir = materials.bag.add(open_dir(&scratch)?);
        materials.handles.events = materials.bag.add(null.into());
        let program = materials.bag.add(bulkhead_sys::mount::clone_tree(own_executable()?.as_fd(), "", false)?);
        materials.handles.count = materials.bag.count();
        let mut config = record.config.clone();
        config.init = false;
        config.tty = false;
        let mut plan = wishes::seal(&config, ids, materials.mounts, materials.host_mounts)?;
        plan.mounts.push(Mount {
            target: PROGRAM.into(),
            source: MountSource::Handle { index: program, label: "bulkhead".into(), file: true },
            flags: MountFlags { read_only: true, ..MountFlags::DATA },
        });
        let words = process.args.get(1..).unwrap_or_default().iter().cloned();
        plan.process = Process { args: std::iter::once(PROGRAM.to_owned()).chain(words).collect(), ..process };
        let message = HandOver {
            container: record.id.clone(),
            name: record.name.clone(),
            plan,
            handles: materials.handles,
            logs: LogPolicy { driver: LogDriver::None, max_size: 0, max_files: 1 },
            health: None,
            restart: RestartPolicy::No,
            restarts: 0,
            stdin_open: true,
            stdin_once: true,
            remove: false,
            stop_signal: 15,
            stop_timeout: 1,
            engine_args: self.arguments.clone(),
            cgroup: self.cgroup_for(record, &mut Vec::new()),
            attributes: self.attributes(record),
        };
        hand_over(&message, materials.bag)?;
        Ok(Attachment { channel, terminal: false })
    }
}
