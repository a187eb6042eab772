//! `start`

use bulkhead_engine::Streams;
use clap::ArgAction;

use super::run::exit_code;
use super::{each, first, refuse, warn};
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::stream::attach::{Wanted, serve};
use crate::stream::detach::DetachKeys;
use crate::stream::signals::Signals;

/// Flags of `start`.
#[derive(clap::Args, Debug)]
pub struct Start {
    /// Attach STDOUT/STDERR and forward signals
    #[arg(short = 'a', long)]
    attach: bool,
    /// Attach container's STDIN
    #[arg(short = 'i', long)]
    interactive: bool,
    /// Override the key sequence for detaching a container
    #[arg(long)]
    detach_keys: Option<String>,
    #[arg(long, hide = true)]
    checkpoint: Option<String>,
    #[arg(long, hide = true)]
    checkpoint_dir: Option<String>,
    #[arg(long, hide = true, action = ArgAction::SetFalse)]
    sig_proxy: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Start {
    const SPELLINGS: &'static [&'static str] = &["start", "container start"];
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";
    const ABOUT: &'static str = "Start one or more stopped containers";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        let restores = self.checkpoint.is_some() || self.checkpoint_dir.is_some();
        refuse("--checkpoint", restores, "checkpoints are not supported: start the container afresh")?;
        let keys = DetachKeys::parse(self.detach_keys.as_deref())?;
        let engine = session.engine()?;
        if !self.attach && !self.interactive {
            return each(&self.words, |name| {
                engine.start(name, None)?.warnings.iter().for_each(|warning| warn(warning));
                Ok(())
            });
        }
        if self.words.len() > 1 {
            return Err(Failure::new("you cannot start and attach multiple containers at once"));
        }
        let name = first(&self.words);
        let config = super::attach::config_of(&engine.inspect(name, false)?);
        let streams = Streams { stdin: self.interactive && config.open_stdin, stdout: true, stderr: true };
        super::attach::check_terminal(config, streams.stdin)?;
        let signals = Signals::hold()?;
        let started = engine.start(name, Some(streams))?;
        started.warnings.iter().for_each(|warning| warn(warning));
        let attachment = started.attachment.ok_or_else(|| Failure::new("the container started without its streams"))?;
        let wanted = Wanted { stdin: streams.stdin, keys, proxy: self.sig_proxy };
        let ended = serve(&attachment, wanted, &signals)?;
        Ok(exit_code(&ended))
    }
}
