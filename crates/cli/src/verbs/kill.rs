//! `kill`

use super::each;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;

/// Flags of `kill`.
#[derive(clap::Args, Debug)]
pub struct Kill {
    /// Signal to send to the container
    #[arg(short = 's', long)]
    signal: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Kill {
    const SPELLINGS: &'static [&'static str] = &["kill", "container kill"];
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";
    const ABOUT: &'static str = "Kill one or more running containers";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        let engine = session.engine()?;
        each(&self.words, |name| Ok(engine.kill(name, self.signal.as_deref())?))
    }
}
