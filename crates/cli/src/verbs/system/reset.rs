//! `system reset`

use crate::console;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;

/// Flags of `system reset`.
#[derive(clap::Args, Debug)]
pub struct Reset {
    /// Do not prompt for confirmation
    #[arg(short = 'f', long)]
    force: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Reset {
    const SPELLINGS: &'static [&'static str] = &["system reset"];
    const USAGE: &'static str = "[OPTIONS]";
    const ABOUT: &'static str = "Remove everything: containers (running ones are killed), images, volumes, mounts";
    const WORDS: Words = Words::exactly(0);

    fn run(self, session: &Session) -> Result<u8> {
        let question = "WARNING! This will remove:\n  - all containers, running ones too\n  - all images\n  - all volumes and what is in them\n\nAre you sure you want to continue?";
        if !self.force && !console::confirm(question)? {
            return Ok(0);
        }
        session.engine()?.reset()?;
        Ok(0)
    }
}
