//! The desk: one method per verb. Container arguments are names, ids or unique id prefixes.

use std::io::{Read, Write};
use std::path::PathBuf;

use bulkhead_types::{ContainerId, Digest, ImageRef, Platform};
use serde_json::Value;

use crate::model::*;
use crate::request::*;
use crate::view::*;
use bulkhead_image::{Progress, Removed, SaveFormat};
use bulkhead_plan::IsolationPlan;
use bulkhead_plan::control::Streams;
use bulkhead_rootfs::{Change, Volume};

/// Where state is kept.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// `--root`; `/var/lib/bulkhead`, or `$XDG_DATA_HOME/bulkhead` for an ordinary user.
    pub root: Option<PathBuf>,
    /// `--run-root`; `/run/bulkhead`, or `$XDG_RUNTIME_DIR/bulkhead`.
    pub run_root: Option<PathBuf>,
}

/// The engine, as opened by one process for one or more verbs.
#[derive(Debug)]
pub struct Engine {
    _private: (),
}

#[allow(unused_variables)]
impl Engine {
    /// Opens the stores and repairs what crashed operations left behind. For an ordinary user this enters the user's
    /// own user and mount namespace, so it must be called before any thread is made.
    ///
    /// # Errors
    /// If the directories cannot be made, or (rootless) there are no subordinate ids.
    pub fn open(options: EngineOptions) -> Result<Self> {
        todo!("engine")
    }

    // Containers.

    /// Records a container. Pulls the image by the policy.
    pub fn create(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<Created> {
        todo!("engine")
    }
    /// Starts a created or stopped container. With `attach`, the attachment exists before the process does.
    pub fn start(&self, container: &str, attach: Option<Streams>) -> Result<StartedContainer> {
        todo!("engine")
    }
    /// The plan that `create` would make, without making anything (`bulkhead plan`).
    pub fn plan(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<IsolationPlan> {
        todo!("engine")
    }
    /// `signal` in Docker's words (`TERM`, `SIGTERM`, `15`).
    pub fn stop(&self, container: &str, signal: Option<&str>, timeout: Option<i64>) -> Result<()> {
        todo!("engine")
    }
    /// Stop (if it runs) and start.
    pub fn restart(&self, container: &str, signal: Option<&str>, timeout: Option<i64>) -> Result<()> {
        todo!("engine")
    }
    /// Default signal `KILL`.
    pub fn kill(&self, container: &str, signal: Option<&str>) -> Result<()> {
        todo!("engine")
    }
    /// `force` kills first; `volumes` removes its anonymous volumes.
    pub fn remove(&self, container: &str, force: bool, volumes: bool) -> Result<()> {
        todo!("engine")
    }
    /// Removes a `--rm` container whose end was delivered by an attachment. Quick path of `run --rm`.
    pub fn reap(&self, id: &ContainerId) -> Result<()> {
        todo!("engine")
    }
    /// `internal restart ID`: called by a monitor whose container is to start again by its policy.
    pub fn restart_by_policy(&self, id: &ContainerId) -> Result<()> {
        todo!("engine")
    }
    /// Freezes.
    pub fn pause(&self, container: &str) -> Result<()> {
        todo!("engine")
    }
    /// Thaws.
    pub fn unpause(&self, container: &str) -> Result<()> {
        todo!("engine")
    }
    /// Blocks until the condition holds.
    pub fn wait(&self, container: &str, condition: WaitCondition) -> Result<Waited> {
        todo!("engine")
    }
    /// Streams of a running container.
    pub fn attach(&self, container: &str, streams: Streams) -> Result<Attachment> {
        todo!("engine")
    }
    /// Runs a process inside a running container. `stdio` unless the request has a terminal.
    pub fn exec(&self, container: &str, request: &ExecRequest, stdio: Option<ExecStdio>) -> Result<ExecSession> {
        todo!("engine")
    }
    /// Calls `sink` for each line in order of time; ends at the end, or with `follow` when the container stops. `sink`
    /// returns false to stop early.
    pub fn logs(&self, container: &str, request: &LogRequest, sink: &mut dyn FnMut(LogLine) -> bool) -> Result<()> {
        todo!("engine")
    }
    /// `all` includes those that do not run; `last` limits to the newest; `size` fills the sizes.
    pub fn list(&self, all: bool, last: Option<usize>, size: bool, filters: &Filters) -> Result<Vec<ContainerSummary>> {
        todo!("engine")
    }
    /// Docker's shape, with `Bulkhead` added: level, concessions in words, walls, id range.
    pub fn inspect(&self, container: &str, size: bool) -> Result<Value> {
        todo!("engine")
    }
    /// `ps` titles and rows for the processes inside (`ps_args` as given to `top`).
    pub fn top(&self, container: &str, ps_args: &[String]) -> Result<(Vec<String>, Vec<Vec<String>>)> {
        todo!("engine")
    }
    /// One sample.
    pub fn stats(&self, container: &str) -> Result<StatsSample> {
        todo!("engine")
    }
    /// Writes a tar of `path` (Docker's `cp` rules for the archive's names) to `out`.
    pub fn copy_out(&self, container: &str, path: &str, follow_link: bool, out: &mut dyn Write) -> Result<()> {
        todo!("engine")
    }
    /// Extracts a tar below the directory `path` inside. `preserve` keeps owners (`-a`).
    pub fn copy_in(&self, container: &str, path: &str, preserve: bool, tar: &mut dyn Read) -> Result<()> {
        todo!("engine")
    }
    /// What is at `path` inside: name, size, mode, link target; `None` if nothing.
    pub fn stat_path(&self, container: &str, path: &str) -> Result<Option<PathStat>> {
        todo!("engine")
    }
    /// Changes against the image.
    pub fn diff(&self, container: &str) -> Result<Vec<Change>> {
        todo!("engine")
    }
    /// The whole root as a tar.
    pub fn export(&self, container: &str, out: &mut dyn Write) -> Result<()> {
        todo!("engine")
    }
    /// A new image of the container's changes.
    pub fn commit(&self, container: &str, request: &CommitRequest) -> Result<Digest> {
        todo!("engine")
    }
    /// Another name.
    pub fn rename(&self, container: &str, name: &str) -> Result<()> {
        todo!("engine")
    }
    /// Warnings are sentences for the user.
    pub fn update(&self, container: &str, request: &UpdateRequest) -> Result<Vec<String>> {
        todo!("engine")
    }
    /// Published ports: none until networks exist.
    pub fn ports(&self, container: &str) -> Result<Vec<(String, String)>> {
        todo!("engine")
    }
    /// Removes stopped containers that fit the filters (`until`, `label`); ids and bytes freed.
    pub fn prune_containers(&self, filters: &Filters) -> Result<(Vec<String>, u64)> {
        todo!("engine")
    }
    /// Events between the times (as in `LogRequest`); without `until` it goes on until `sink` returns false.
    pub fn events(
        &self,
        since: Option<&str>,
        until: Option<&str>,
        filters: &Filters,
        sink: &mut dyn FnMut(Event) -> bool,
    ) -> Result<()> {
        todo!("engine")
    }

    // Images.

    /// Fetches.
    pub fn pull(
        &self,
        reference: &ImageRef,
        platform: Option<Platform>,
        progress: &dyn Progress,
    ) -> Result<PulledImage> {
        todo!("engine")
    }
    /// Uploads; the manifest's digest.
    pub fn push(&self, reference: &ImageRef, progress: &dyn Progress) -> Result<Digest> {
        todo!("engine")
    }
    /// Docker archive or OCI layout; what was loaded, as `Loaded image: …` names it.
    pub fn load(&self, archive: &mut (dyn Read + Send), progress: &dyn Progress) -> Result<Vec<String>> {
        todo!("engine")
    }
    /// One archive of several images.
    pub fn save(&self, names: &[String], format: SaveFormat, out: &mut dyn Write) -> Result<()> {
        todo!("engine")
    }
    /// A root file system tar as image. `changes` as in `commit`.
    pub fn import(
        &self,
        tar: &mut (dyn Read + Send),
        reference: Option<&str>,
        message: Option<&str>,
        changes: &[String],
    ) -> Result<Digest> {
        todo!("engine")
    }
    /// A Debian base image from the signed archive.
    pub fn image_base_debian(&self, request: &BaseRequest, progress: &dyn Progress) -> Result<PulledImage> {
        todo!("engine")
    }
    /// An image whose only file is this static binary (S57). Non-root, entrypoint set.
    pub fn image_from_binary(&self, binary: &std::path::Path, reference: &str) -> Result<PulledImage> {
        todo!("engine")
    }
    /// Filters: `dangling`, `label`, `before`, `since`, `reference`. `all` shows untagged intermediate ones too.
    pub fn images(&self, all: bool, filters: &Filters) -> Result<Vec<ImageSummary>> {
        todo!("engine")
    }
    /// Docker's shape.
    pub fn image_inspect(&self, name: &str) -> Result<Value> {
        todo!("engine")
    }
    /// Newest first.
    pub fn history(&self, name: &str) -> Result<Vec<HistoryLine>> {
        todo!("engine")
    }
    /// Another name.
    pub fn tag(&self, source: &str, target: &ImageRef) -> Result<()> {
        todo!("engine")
    }
    /// Removes a name, and with the last one the image.
    pub fn remove_image(&self, name: &str, force: bool) -> Result<Vec<Removed>> {
        todo!("engine")
    }
    /// Dangling ones, or `all` that no container uses; what was done and the bytes freed.
    pub fn prune_images(&self, all: bool, filters: &Filters) -> Result<(Vec<Removed>, u64)> {
        todo!("engine")
    }

    // Volumes.

    /// Options and labels as `KEY=value`.
    pub fn volume_create(&self, name: Option<&str>, labels: &[String], options: &[String]) -> Result<Volume> {
        todo!("engine")
    }
    /// Filters: `dangling`, `label`, `name`, `driver`.
    pub fn volumes(&self, filters: &Filters) -> Result<Vec<Volume>> {
        todo!("engine")
    }
    /// Docker's shape.
    pub fn volume_inspect(&self, name: &str) -> Result<Value> {
        todo!("engine")
    }
    /// Refused while a container uses it.
    pub fn volume_remove(&self, name: &str, force: bool) -> Result<()> {
        todo!("engine")
    }
    /// Unused anonymous ones, with `all` named ones too; names and bytes freed.
    pub fn prune_volumes(&self, all: bool, filters: &Filters) -> Result<(Vec<String>, u64)> {
        todo!("engine")
    }

    // The whole.

    /// Images, containers, volumes.
    pub fn disk_usage(&self) -> Result<Vec<DiskUsage>> {
        todo!("engine")
    }
    /// Docker's shape of `/info`, with `Bulkhead` added: what this host can enforce.
    pub fn info(&self) -> Result<Value> {
        todo!("engine")
    }
    /// Docker's shape of `/version`.
    pub fn version(&self) -> Value {
        todo!("engine")
    }
    /// Unmounts the layers that no container uses (nothing is lost; the next run mounts them again).
    pub fn release(&self) -> Result<()> {
        todo!("engine")
    }
    /// Removes everything below both roots: containers (running ones are killed), images, volumes, mounts.
    pub fn reset(&self) -> Result<()> {
        todo!("engine")
    }
}

/// A recorded container.
#[derive(Clone, Debug)]
pub struct Created {
    /// Its id.
    pub id: ContainerId,
    /// Sentences for the user.
    pub warnings: Vec<String>,
}

/// A started container.
#[derive(Debug)]
pub struct StartedContainer {
    /// Its id.
    pub id: ContainerId,
    /// Sentences for the user.
    pub warnings: Vec<String>,
    /// If one was asked for.
    pub attachment: Option<Attachment>,
}

/// A fetched image.
#[derive(Clone, Debug)]
pub struct PulledImage {
    /// Image id.
    pub id: Digest,
    /// Manifest digest.
    pub digest: Digest,
    /// Name.
    pub reference: ImageRef,
    /// False if it was here already.
    pub changed: bool,
}

/// Something inside a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStat {
    /// Last component.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// `st_mode`.
    pub mode: u32,
    /// Seconds since the epoch.
    pub mtime: i64,
    /// Of a link.
    pub link_target: String,
}

#[allow(unused_variables)]
impl Attachment {
    /// Sends input; at most 64 KiB a call.
    pub fn send(&self, input: &[u8]) -> Result<()> {
        todo!("engine")
    }
    /// No more input.
    pub fn end_input(&self) -> Result<()> {
        todo!("engine")
    }
    /// Size of the terminal.
    pub fn resize(&self, size: bulkhead_plan::TerminalSize) -> Result<()> {
        todo!("engine")
    }
    /// A signal for the first process.
    pub fn signal(&self, signal: i32) -> Result<()> {
        todo!("engine")
    }
    /// Blocks for the next output.
    pub fn receive(&self) -> Result<Output> {
        todo!("engine")
    }
    /// To poll for readability.
    #[must_use]
    pub fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.channel)
    }
}

#[allow(unused_variables)]
impl ExecSession {
    /// Size of the terminal.
    pub fn resize(&self, size: bulkhead_plan::TerminalSize) -> Result<()> {
        todo!("engine")
    }
    /// A signal for this process.
    pub fn signal(&self, signal: i32) -> Result<()> {
        todo!("engine")
    }
    /// Blocks until the process has ended.
    pub fn wait(&self) -> Result<bulkhead_types::ExitStatus> {
        todo!("engine")
    }
    /// To poll for readability: the process has ended.
    #[must_use]
    pub fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.channel)
    }
}
