//! `logs`: Docker's json-file lines, across rotated files.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use bulkhead_plan::handover::LogDriver;
use jiff::Timestamp;
use serde::Deserialize;

use crate::clock;
use crate::engine::Engine;
use crate::model::{Error, LogLine, Result};
use crate::record::Record;
use crate::request::LogRequest;

/// How often a follower looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// A line longer than this is not one of the monitor's.
const LONGEST: u64 = 16 << 20;

#[derive(Deserialize)]
struct JsonLine {
    log: String,
    stream: String,
    time: String,
}

/// What is wanted of a line.
struct Wanted {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    stdout: bool,
    stderr: bool,
}

impl Wanted {
    fn new(request: &LogRequest) -> Result<Self> {
        let both = !request.stdout && !request.stderr;
        let moment = |text: &Option<String>| text.as_deref().map(clock::moment).transpose();
        Ok(Self {
            since: moment(&request.since)?,
            until: moment(&request.until)?,
            stdout: request.stdout || both,
            stderr: request.stderr || both,
        })
    }

    /// `None` for a line that is not wanted (or is the torn last one of a crash).
    fn parse(&self, text: &str) -> Option<LogLine> {
        let line: JsonLine = serde_json::from_str(text).ok()?;
        let stderr = line.stream == "stderr";
        if (stderr && !self.stderr) || (!stderr && !self.stdout) {
            return None;
        }
        if self.since.is_some() || self.until.is_some() {
            let time: Timestamp = line.time.parse().ok()?;
            if self.since.is_some_and(|since| time < since) || self.until.is_some_and(|until| time > until) {
                return None;
            }
        }
        Some(LogLine { stderr, time: line.time, bytes: line.log.into_bytes() })
    }
}

impl Engine {
    /// Calls `sink` for each line in order of time; ends at the end, or with `follow` when the container stops. `sink`
    /// returns false to stop early.
    ///
    /// # Errors
    /// `NotFound`; if the container keeps no log.
    pub fn logs(&self, container: &str, request: &LogRequest, sink: &mut dyn FnMut(LogLine) -> bool) -> Result<()> {
        let record = self.find(container)?;
        if record.config.logs.as_ref().is_some_and(|policy| policy.driver == LogDriver::None) {
            return Err(Error::unsupported("configured logging driver does not support reading"));
        }
        let wanted = Wanted::new(request)?;
        let mut follower = Follower::new(self.layout.container(record.id.as_str()).join("log"));
        let mut lines = Vec::new();
        let bounded = request.tail.and_then(|tail| usize::try_from(tail).ok());
        for path in follower.older() {
            read_all(&path, &wanted, bounded, &mut lines)?;
        }
        while let Some(text) = follower.next_line()? {
            if let Some(line) = wanted.parse(&text) {
                keep(&mut lines, line, bounded);
            }
        }
        let skipped = bounded.map_or(0, |most| lines.len().saturating_sub(most));
        for line in lines.into_iter().skip(skipped) {
            if !sink(line) {
                return Ok(());
            }
        }
        if request.follow { self.follow(&record, &wanted, &mut follower, sink) } else { Ok(()) }
    }

    fn follow(
        &self,
        record: &Record,
        wanted: &Wanted,
        follower: &mut Follower,
        sink: &mut dyn FnMut(LogLine) -> bool,
    ) -> Result<()> {
        loop {
            // Looked at before reading, so that what was written before the end is still read.
            let alive = self.is_alive(record.id.as_str())?;
            while let Some(text) = follower.next_line()? {
                if let Some(line) = wanted.parse(&text)
                    && !sink(line)
                {
                    return Ok(());
                }
            }
            if !alive || wanted.until.is_some_and(|until| Timestamp::now() > until) {
                return Ok(());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn keep(lines: &mut Vec<LogLine>, line: LogLine, bounded: Option<usize>) {
    lines.push(line);
    if let Some(most) = bounded
        && lines.len() >= most.saturating_mul(2).max(most + 1024)
    {
        lines.drain(..lines.len() - most);
    }
}

fn read_all(path: &std::path::Path, wanted: &Wanted, bounded: Option<usize>, lines: &mut Vec<LogLine>) -> Result<()> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        // Rotated away meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::at(path)(error)),
    };
    for text in BufReader::new(file).lines() {
        if let Some(line) = wanted.parse(&text.map_err(Error::at(path))?) {
            keep(lines, line, bounded);
        }
    }
    Ok(())
}

/// The current file, also when it is rotated while it is read.
struct Follower {
    dir: PathBuf,
    open: Option<BufReader<std::fs::File>>,
    partial: String,
}

impl Follower {
    const fn new(dir: PathBuf) -> Self {
        Self { dir, open: None, partial: String::new() }
    }

    fn current(&self) -> PathBuf {
        self.dir.join("json.log")
    }

    /// Rotated files, oldest first.
    fn older(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = (1u32..)
            .map(|number| self.dir.join(format!("json.log.{number}")))
            .take_while(|path| path.exists())
            .collect();
        paths.reverse();
        paths
    }

    /// The next whole line that is there.
    fn next_line(&mut self) -> Result<Option<String>> {
        let path = self.current();
        loop {
            if self.open.is_none() {
                match std::fs::File::open(&path) {
                    Ok(file) => self.open = Some(BufReader::new(file)),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(Error::at(&path)(error)),
                }
            }
            let Some(reader) = &mut self.open else { return Ok(None) };
            reader.by_ref().take(LONGEST).read_line(&mut self.partial).map_err(Error::at(&path))?;
            if self.partial.ends_with('\n') {
                return Ok(Some(std::mem::take(&mut self.partial)));
            }
            let here = reader.get_ref().metadata().map_err(Error::at(&path))?;
            let is_same = std::fs::metadata(&path).is_ok_and(|now| now.ino() == here.ino() && now.dev() == here.dev());
            if is_same || !path.exists() {
                return Ok(None);
            }
            // Rotated: nothing follows in the old one.
            self.open = None;
            self.partial.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn line(stream: &str, text: &str) -> String {
        format!("{{\"log\":\"{text}\\n\",\"stream\":\"{stream}\",\"time\":\"2026-11-23T10:00:00.5Z\"}}\n")
    }

    #[test]
    fn wanted_lines() {
        let wanted = |request: LogRequest| Wanted::new(&request).unwrap();
        let text = line("stderr", "x");
        assert!(wanted(LogRequest::default()).parse(&text).unwrap().stderr);
        assert!(wanted(LogRequest { stdout: true, ..Default::default() }).parse(&text).is_none());
        let since = |since: &str| wanted(LogRequest { since: Some(since.into()), ..Default::default() });
        assert!(since("2026-11-23T10:00:01Z").parse(&text).is_none());
        assert_eq!(since("2026-11-23T10:00:00Z").parse(&text).unwrap().bytes, b"x\n");
        assert!(wanted(LogRequest::default()).parse("{\"log\":\"torn").is_none());
    }

    #[test]
    fn a_follower_goes_over_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("json.log");
        let mut follower = Follower::new(dir.path().to_owned());
        assert!(follower.next_line().unwrap().is_none());
        std::fs::write(&path, line("stdout", "a")).unwrap();
        assert_eq!(follower.next_line().unwrap().unwrap(), line("stdout", "a"));
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(line("stdout", "b").as_bytes())
            .unwrap();
        std::fs::rename(&path, dir.path().join("json.log.1")).unwrap();
        std::fs::write(&path, line("stdout", "c")).unwrap();
        assert_eq!(follower.next_line().unwrap().unwrap(), line("stdout", "b"));
        assert_eq!(follower.next_line().unwrap().unwrap(), line("stdout", "c"));
        assert!(follower.next_line().unwrap().is_none());
        assert_eq!(follower.older(), [dir.path().join("json.log.1")]);
    }
}
