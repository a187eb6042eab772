//! `cp` and `export`: our own executable runs inside and streams tar; see `transfer`.

use std::io::{Read, Write};
use std::os::fd::{AsFd as _, OwnedFd};

use crate::control::{receive, send, unexpected};
use crate::engine::Engine;
use crate::model::{Attachment, Error, ExecSession, Output, PathStat, Result};
use crate::pending::Mark;
use crate::record::Record;
use crate::standing::Status;
use bulkhead_plan::control::{Exec, Reply, Request};
use bulkhead_plan::{Capability, Process};

/// Bytes of an error text that are read.
const LONGEST_ERROR: u64 = 4096;
/// Bytes of an answer about a path: name and link target, each byte escaped.
const LONGEST_ANSWER: usize = 128 * 1024;

/// What copying needs inside, whatever the container itself has.
const RIGHTS: &[Capability] = &[Capability::Chown, Capability::DacOverride, Capability::Fowner, Capability::Fsetid];

impl Engine {
    /// Writes a tar of `path` (Docker's `cp` rules for the archive's names) to `out`.
    ///
    /// # Errors
    /// `NotFound` in Docker's words, or writing fails.
    pub fn copy_out(&self, container: &str, path: &str, follow_link: bool, out: &mut dyn Write) -> Result<()> {
        let record = self.find(container)?;
        let mut words = vec!["tar-out", path];
        if follow_link {
            words.push("--follow");
        }
        self.run_inside(&record, &words, &mut std::io::empty(), out).map_err(|error| missing(error, container, path))
    }

    /// Extracts a tar below the directory `path` inside. `preserve` keeps owners (`-a`).
    ///
    /// # Errors
    /// `NotFound` in Docker's words, or the archive is refused.
    pub fn copy_in(&self, container: &str, path: &str, preserve: bool, tar: &mut dyn Read) -> Result<()> {
        let record = self.find(container)?;
        let mut words = vec!["tar-in", path];
        if preserve {
            words.push("--preserve");
        }
        self.run_inside(&record, &words, tar, &mut std::io::sink()).map_err(|error| missing(error, container, path))
    }

    /// What is at `path` inside: name, size, mode, link target; `None` if nothing.
    ///
    /// # Errors
    /// `NotFound`, or the container's answer cannot be read.
    pub fn stat_path(&self, container: &str, path: &str) -> Result<Option<PathStat>> {
        let record = self.find(container)?;
        let mut answer = Answer(Vec::new());
        self.run_inside(&record, &["stat", path], &mut std::io::empty(), &mut answer)?;
        crate::transfer::parse_stat(&answer.0)
    }

    /// The whole root as a tar.
    ///
    /// # Errors
    /// `NotFound`, or writing fails.
    pub fn export(&self, container: &str, out: &mut dyn Write) -> Result<()> {
        let record = self.find(container)?;
        self.run_inside(&record, &["tar-out", "/", "--one-mount"], &mut std::io::empty(), out)?;
        self.tell(&record, "export", &[]);
        Ok(())
    }

    /// Runs our executable in the container, or for a stopped one in a throw-away cell on the same root.
    fn run_inside(&self, record: &Record, words: &[&str], input: &mut dyn Read, out: &mut dyn Write) -> Result<()> {
        let args: Vec<String> = ["bulkhead", "internal"].iter().chain(words).map(|word| (*word).to_owned()).collect();
        loop {
            match self.standing(record)?.status {
                Status::Paused => {
                    return Err(Error::conflict(format!(
                        "container {} is paused, unpause it before copying",
                        record.name
                    )));
                }
                Status::Running | Status::Restarting => return self.run_beside(record, args, input, out),
                _ => {}
            }
            let mark = Mark::hold(&self.layout.pending(), record.id.as_str())?;
            if !self.is_alive(record.id.as_str())? {
                return self.run_alone(record, args, input, out, mark);
            }
        }
    }

    /// As another process of a running container.
    fn run_beside(&self, record: &Record, args: Vec<String>, input: &mut dyn Read, out: &mut dyn Write) -> Result<()> {
        let channel = self.connect_running(record)?;
        let pipe = || std::io::pipe().map_err(|error| Error::internal(format!("pipe: {error}")));
        let ((stdin, mut feed), (mut output, stdout), (mut errors, stderr)) = (pipe()?, pipe()?, pipe()?);
        let process = own_process(args);
        let exec = Exec { process, capabilities: Some(RIGHTS.to_vec()), own_program: true };
        // A sealed copy that cannot be read: the container's root could otherwise hold our own file open, or reach into
        // this process and write an archive of its own choice.
        let program = bulkhead_sys::process::sealed_self()?;
        let fds: [OwnedFd; 4] = [stdin.into(), stdout.into(), stderr.into(), program];
        send(&channel, &Request::Exec(Box::new(exec)), &fds.each_ref().map(|fd| fd.as_fd()))?;
        drop(fds);
        let session = match receive(&channel)? {
            Some((Reply::ExecStarted { pid }, _)) => ExecSession { channel, terminal: None, pid },
            Some((other, _)) => return Err(unexpected(&other)),
            None => return Err(Error::conflict(format!("container {} is not running", record.id))),
        };
        // A reader that refuses the archive closes its end; its reason is on standard error.
        let fed = std::io::copy(input, &mut feed);
        drop(feed);
        let taken = std::io::copy(&mut output, out);
        drop(output);
        let mut text = String::new();
        let told = std::io::Read::by_ref(&mut errors).take(LONGEST_ERROR).read_to_string(&mut text);
        drop(errors);
        let status = session.wait()?;
        if !status.success() {
            told.map_err(|error| Error::internal(format!("copying: {error}")))?;
            return Err(Error::invalid(last_line(&text)));
        }
        fed.and(taken).map(|_| ()).map_err(|error| Error::internal(format!("copying: {error}")))
    }

    /// As the only process of a throw-away cell.
    fn run_alone(
        &self,
        record: &Record,
        args: Vec<String>,
        input: &mut dyn Read,
        out: &mut dyn Write,
        mark: Mark,
    ) -> Result<()> {
        let attachment = self.start_throw_away(record, own_process(args))?;
        let done = pump(&attachment, input, out);
        drop(attachment);
        self.await_end(record.id.as_str())?;
        crate::layout::remove_dir(&self.layout.running(record.id.as_str()))?;
        drop(mark);
        done
    }
}

/// What is written is kept, up to a length that no honest answer has.
struct Answer(Vec<u8>);

impl Write for Answer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST_ANSWER {
            return Err(std::io::Error::other("the answer is longer than any path"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Input first: the archive reader writes nothing before it has read all, the writer reads nothing.
fn pump(attachment: &Attachment, input: &mut dyn Read, out: &mut dyn Write) -> Result<()> {
    let mut buffer = vec![0u8; 60_000];
    let mut failed = None;
    loop {
        let count = input.read(&mut buffer).map_err(|error| Error::internal(format!("copying: {error}")))?;
        if count == 0 {
            break;
        }
        if let Err(error) = attachment.send(buffer.get(..count).unwrap_or_default()) {
            failed = Some(error);
            break;
        }
    }
    if failed.is_none() {
        failed = attachment.end_input().err();
    }
    let mut text = String::new();
    loop {
        match attachment.receive()? {
            Output::Stdout(bytes) => {
                out.write_all(&bytes).map_err(|error| Error::internal(format!("copying: {error}")))?;
            }
            Output::Stderr(bytes) if text.len() < LONGEST_ANSWER => text.push_str(&String::from_utf8_lossy(&bytes)),
            Output::Stderr(_) => {}
            Output::Exited(exited) if exited.status.success() => return failed.map_or(Ok(()), Err),
            Output::Exited(_) => return Err(Error::invalid(last_line(&text))),
            Output::Closed => return Err(Error::internal("copying: the process inside ended without a word")),
        }
    }
}

fn own_process(args: Vec<String>) -> Process {
    Process { args, cwd: "/".into(), user: "0:0".into(), ..Process::default() }
}

fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("copying failed without a reason");
    line.strip_prefix("bulkhead: ").unwrap_or(line).to_owned()
}

/// Docker's text for a path that is not there.
fn missing(error: Error, container: &str, path: &str) -> Error {
    if error.message.contains("No such file or directory") {
        return Error::not_found(format!("Could not find the file {path} in container {container}"));
    }
    // Volumes of a read-only container can be written, its root cannot.
    if error.message.contains("Read-only file system") {
        return Error::conflict("container rootfs is marked read-only");
    }
    error
}
