//! `volume rm`

use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::verbs::each;

/// Flags of `volume rm`.
#[derive(clap::Args, Debug)]
pub struct Rm {
    /// Force the removal of one or more volumes
    #[arg(short = 'f', long)]
    force: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Rm {
    const SPELLINGS: &'static [&'static str] = &["volume rm", "volume remove"];
    const USAGE: &'static str = "[OPTIONS] VOLUME [VOLUME...]";
    const ABOUT: &'static str = "Remove one or more volumes";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        let engine = session.engine()?;
        each(&self.words, |name| Ok(engine.volume_remove(name, self.force)?))
    }
}
