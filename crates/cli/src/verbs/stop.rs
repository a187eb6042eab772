//! `stop`

use super::each;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;

/// Flags of `stop`.
#[derive(clap::Args, Debug)]
pub struct Stop {
    /// Signal to send to the container
    #[arg(short = 's', long)]
    signal: Option<String>,
    /// Seconds to wait before killing the container
    #[arg(short = 't', long, alias = "time", value_name = "int")]
    timeout: Option<i64>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Stop {
    const SPELLINGS: &'static [&'static str] = &["stop", "container stop"];
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";
    const ABOUT: &'static str = "Stop one or more running containers";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        let engine = session.engine()?;
        each(&self.words, |name| Ok(engine.stop(name, self.signal.as_deref(), self.timeout)?))
    }
}
