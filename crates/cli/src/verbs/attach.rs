//! `attach`

use bulkhead_engine::Streams;
use clap::ArgAction;
use serde_json::Value;

use super::first;
use super::run::exit_code;
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::stream::attach::{Wanted, serve};
use crate::stream::detach::DetachKeys;
use crate::stream::signals::Signals;
use crate::stream::terminal;

/// Flags of `attach`.
#[derive(clap::Args, Debug)]
pub struct Attach {
    /// Override the key sequence for detaching a container
    #[arg(long)]
    detach_keys: Option<String>,
    /// Do not attach STDIN
    #[arg(long)]
    no_stdin: bool,
    /// Proxy all received signals to the process (default true)
    #[arg(long, action = ArgAction::SetFalse)]
    sig_proxy: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Attach {
    const SPELLINGS: &'static [&'static str] = &["attach", "container attach"];
    const USAGE: &'static str = "[OPTIONS] CONTAINER";
    const ABOUT: &'static str = "Attach local standard input, output, and error streams to a running container";
    const WORDS: Words = Words::exactly(1);

    fn run(self, session: &Session) -> Result<u8> {
        let keys = DetachKeys::parse(self.detach_keys.as_deref())?;
        let engine = session.engine()?;
        let name = first(&self.words);
        let view = engine.inspect(name, false)?;
        let flag = |pointer| view.pointer(pointer).and_then(Value::as_bool).unwrap_or(false);
        if flag("/State/Paused") {
            return Err(Failure::new("cannot attach to a paused container, unpause it first"));
        }
        if !flag("/State/Running") {
            return Err(Failure::new("cannot attach to a stopped container, start it first"));
        }
        let config = config_of(&view);
        let streams = Streams { stdin: !self.no_stdin && config.open_stdin, stdout: true, stderr: true };
        check_terminal(config, streams.stdin)?;
        let signals = Signals::hold()?;
        let attachment = engine.attach(name, streams)?;
        let proxy = self.sig_proxy && !attachment.terminal;
        let ended = serve(&attachment, Wanted { stdin: streams.stdin, keys, proxy }, &signals)?;
        Ok(exit_code(&ended))
    }
}

/// What of a container's configuration matters to its streams.
#[derive(Clone, Copy, Debug)]
pub struct StreamConfig {
    /// `-i`
    pub open_stdin: bool,
    /// `-t`
    pub tty: bool,
}

/// From an inspect view.
pub fn config_of(view: &Value) -> StreamConfig {
    let flag = |pointer| view.pointer(pointer).and_then(Value::as_bool).unwrap_or(false);
    StreamConfig { open_stdin: flag("/Config/OpenStdin"), tty: flag("/Config/Tty") }
}

/// A terminal inside needs one outside for its input.
pub fn check_terminal(config: StreamConfig, stdin: bool) -> Result<()> {
    if config.tty && stdin && !terminal::stdin_is_terminal() {
        return Err(Failure::new(
            "cannot attach stdin to a TTY-enabled container because stdin is not a terminal: use --no-stdin",
        ));
    }
    Ok(())
}
