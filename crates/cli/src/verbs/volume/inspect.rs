//! `volume inspect`

use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;

/// Flags of `volume inspect`.
#[derive(clap::Args, Debug)]
pub struct Inspect {
    /// Format output: 'json' or a Go TEMPLATE
    #[arg(short = 'f', long)]
    format: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Inspect {
    const SPELLINGS: &'static [&'static str] = &["volume inspect"];
    const USAGE: &'static str = "[OPTIONS] VOLUME [VOLUME...]";
    const ABOUT: &'static str = "Display detailed information on one or more volumes";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        let engine = session.engine()?;
        crate::verbs::inspect::print(&self.words, self.format.as_deref(), |name| Ok(engine.volume_inspect(name)?))
    }
}
