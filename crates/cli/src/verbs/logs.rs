//! `logs`

use bulkhead_engine::{LogLine, LogRequest};

use super::first;
use crate::console;
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;

/// Bytes gathered before they are written, while nobody waits for them line by line.
const BATCH: usize = 64 * 1024;

/// Flags of `logs`.
#[derive(clap::Args, Debug)]
pub struct Logs {
    /// Show extra details provided to logs
    #[arg(long)]
    details: bool,
    /// Follow log output
    #[arg(short = 'f', long)]
    follow: bool,
    /// Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long)]
    since: Option<String>,
    /// Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long)]
    until: Option<String>,
    /// Number of lines to show from the end of the logs (default "all")
    #[arg(short = 'n', long)]
    tail: Option<String>,
    /// Show timestamps
    #[arg(short = 't', long)]
    timestamps: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Logs {
    const SPELLINGS: &'static [&'static str] = &["logs", "container logs"];
    const USAGE: &'static str = "[OPTIONS] CONTAINER";
    const ABOUT: &'static str = "Fetch the logs of a container";
    const WORDS: Words = Words::exactly(1);

    fn run(self, session: &Session) -> Result<u8> {
        let tail = match self.tail.as_deref() {
            // A negative number is "all" to Docker.
            None | Some("all" | "") => None,
            Some(text) if text.strip_prefix('-').is_some_and(|digits| digits.parse::<u64>().is_ok()) => None,
            Some(text) => Some(text.parse::<u64>().map_err(|_| {
                Failure::new(format!("invalid value for --tail: {text:?}: write a number of lines or all"))
            })?),
        };
        let request =
            LogRequest { follow: self.follow, tail, since: self.since, until: self.until, stdout: true, stderr: true };
        let mut writer = Writer { out: Vec::new(), err: Vec::new(), each_line: self.follow, failure: None };
        session.engine()?.logs(first(&self.words), &request, &mut |line| {
            let mut bytes = Vec::new();
            if self.timestamps {
                bytes.extend_from_slice(line.time.as_bytes());
                bytes.push(b' ');
            }
            if self.details {
                bytes.push(b' ');
            }
            bytes.extend_from_slice(&line.bytes);
            writer.take(&line, &bytes)
        })?;
        writer.flush();
        writer.failure.map_or(Ok(0), Err)
    }
}

/// Keeps the order of the two streams: one is written before the other is added to.
struct Writer {
    out: Vec<u8>,
    err: Vec<u8>,
    each_line: bool,
    failure: Option<Failure>,
}

impl Writer {
    fn take(&mut self, line: &LogLine, bytes: &[u8]) -> bool {
        let other_waits = if line.stderr { !self.out.is_empty() } else { !self.err.is_empty() };
        if other_waits {
            self.flush();
        }
        let buffer = if line.stderr { &mut self.err } else { &mut self.out };
        buffer.extend_from_slice(bytes);
        if self.each_line || buffer.len() >= BATCH {
            self.flush();
        }
        self.failure.is_none()
    }

    fn flush(&mut self) {
        let out = std::mem::take(&mut self.out);
        let err = std::mem::take(&mut self.err);
        let written = console::out_bytes(&out).and_then(|()| {
            console::write_all(rustix::stdio::stderr(), &err)
                .map_err(|errno| console::output_failure(errno, "standard error"))
        });
        if let Err(failure) = written {
            self.failure.get_or_insert(failure);
        }
    }
}
