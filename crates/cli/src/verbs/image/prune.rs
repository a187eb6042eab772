//! `image prune`

use super::rm::line;
use crate::console;
use crate::failure::Result;
use crate::filters;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::units::size;

/// Flags of `image prune`.
#[derive(clap::Args, Debug)]
pub struct Prune {
    /// Remove all unused images, not just dangling ones
    #[arg(short = 'a', long)]
    all: bool,
    /// Provide filter values (e.g. "until=<timestamp>")
    #[arg(long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short = 'f', long)]
    force: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Prune {
    const SPELLINGS: &'static [&'static str] = &["image prune"];
    const USAGE: &'static str = "[OPTIONS]";
    const ABOUT: &'static str = "Remove unused images";
    const WORDS: Words = Words::exactly(0);

    fn run(self, session: &Session) -> Result<u8> {
        let filters = filters::parse(&self.filter)?;
        let which = if self.all {
            "all images without at least one container associated to them"
        } else {
            "all dangling images"
        };
        let question = format!("WARNING! This will remove {which}.\nAre you sure you want to continue?");
        if !self.force && !console::confirm(&question)? {
            return Ok(0);
        }
        let (removed, freed) = session.engine()?.prune_images(self.all, &filters)?;
        // `prune` writes `untagged:` where `rmi` writes `Untagged:`.
        let lines: String = removed.iter().map(line).collect();
        let lines = lines.replace("Untagged: ", "untagged: ").replace("Deleted: ", "deleted: ");
        let list = if lines.is_empty() { lines } else { format!("Deleted Images:\n{lines}\n") };
        console::out(&format!("{list}Total reclaimed space: {}\n", size(freed)))?;
        Ok(0)
    }
}
