//! `exec`

use bulkhead_engine::ExecRequest;

use super::first;
use crate::env;
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::stream::detach::DetachKeys;
use crate::stream::exec::{Ended, Ends, nowhere, pipes, serve};
use crate::stream::signals::Signals;
use crate::stream::terminal;

/// Flags of `exec`.
#[derive(clap::Args, Debug)]
pub struct Exec {
    /// Detached mode: run command in the background
    #[arg(short = 'd', long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long)]
    detach_keys: Option<String>,
    /// Set environment variables
    #[arg(short = 'e', long)]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long)]
    env_file: Vec<String>,
    /// Keep STDIN open even if not attached
    #[arg(short = 'i', long)]
    interactive: bool,
    /// Give extended privileges to the command
    #[arg(long)]
    privileged: bool,
    /// Allocate a pseudo-TTY
    #[arg(short = 't', long)]
    tty: bool,
    /// Username or UID (format: "<name|uid>[:<group|gid>]")
    #[arg(short = 'u', long)]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short = 'w', long)]
    workdir: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Exec {
    const SPELLINGS: &'static [&'static str] = &["exec", "container exec"];
    const USAGE: &'static str = "[OPTIONS] CONTAINER COMMAND [ARG...]";
    const ABOUT: &'static str = "Execute a command in a running container";
    const WORDS: Words = Words::at_least(2);
    const OPTIONS_FIRST: bool = true;

    fn run(self, session: &Session) -> Result<u8> {
        let keys = DetachKeys::parse(self.detach_keys.as_deref())?;
        if self.tty && self.interactive && !self.detach && !terminal::stdin_is_terminal() {
            return Err(Failure::new("the input device is not a TTY: leave out -t"));
        }
        let terminal = (self.tty && !self.detach).then(|| terminal::size().unwrap_or_default());
        let request = ExecRequest {
            command: self.words.get(1..).unwrap_or_default().to_vec(),
            env: env::environment(&self.env_file, &self.env)?,
            workdir: self.workdir,
            user: self.user.filter(|user| !user.is_empty()),
            terminal,
            privileged: self.privileged,
        };
        let engine = session.engine()?;
        let container = first(&self.words);
        if self.detach {
            engine.exec(container, &request, Some(nowhere()?))?;
            return Ok(0);
        }
        let (stdio, ends) = if request.terminal.is_some() {
            (None, Ends::default())
        } else {
            let (stdio, ends) = pipes(self.interactive)?;
            (Some(stdio), ends)
        };
        let signals = Signals::hold()?;
        let running = engine.exec(container, &request, stdio)?;
        Ok(match serve(running, ends, self.interactive, keys, &signals)? {
            Ended::Exited(status) => status.code(),
            Ended::Detached => 0,
            Ended::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        })
    }
}
