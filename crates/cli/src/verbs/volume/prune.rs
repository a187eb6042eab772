//! `volume prune`

use crate::console;
use crate::failure::Result;
use crate::filters;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::verbs::container_prune::report;

/// Flags of `volume prune`.
#[derive(clap::Args, Debug)]
pub struct Prune {
    /// Remove all unused volumes, not just anonymous ones
    #[arg(short = 'a', long)]
    all: bool,
    /// Provide filter values (e.g. "label=<label>")
    #[arg(long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short = 'f', long)]
    force: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Prune {
    const SPELLINGS: &'static [&'static str] = &["volume prune"];
    const USAGE: &'static str = "[OPTIONS]";
    const ABOUT: &'static str = "Remove unused local volumes";
    const WORDS: Words = Words::exactly(0);

    fn run(self, session: &Session) -> Result<u8> {
        let filters = filters::parse(&self.filter)?;
        let kind = if self.all { "all" } else { "anonymous" };
        let question = format!(
            "WARNING! This will remove {kind} local volumes not used by at least one container.\nAre you sure you want to continue?"
        );
        if !self.force && !console::confirm(&question)? {
            return Ok(0);
        }
        let (names, freed) = session.engine()?.prune_volumes(self.all, &filters)?;
        console::out(&report("Deleted Volumes:", &names, freed))?;
        Ok(0)
    }
}
