//! `container prune`

use crate::console;
use crate::failure::Result;
use crate::filters;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::units::size;

/// Flags of `container prune`.
#[derive(clap::Args, Debug)]
pub struct ContainerPrune {
    /// Provide filter values (e.g. "until=<timestamp>")
    #[arg(long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short = 'f', long)]
    force: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for ContainerPrune {
    const SPELLINGS: &'static [&'static str] = &["container prune"];
    const USAGE: &'static str = "[OPTIONS]";
    const ABOUT: &'static str = "Remove all stopped containers";
    const WORDS: Words = Words::exactly(0);

    fn run(self, session: &Session) -> Result<u8> {
        let filters = filters::parse(&self.filter)?;
        let question = "WARNING! This will remove all stopped containers.\nAre you sure you want to continue?";
        if !self.force && !console::confirm(question)? {
            return Ok(0);
        }
        let (ids, freed) = session.engine()?.prune_containers(&filters)?;
        console::out(&report("Deleted Containers:", &ids, freed))?;
        Ok(0)
    }
}

/// What `prune` tells.
pub fn report(title: &str, gone: &[String], freed: u64) -> String {
    let list = if gone.is_empty() { String::new() } else { format!("{title}\n{}\n\n", gone.join("\n")) };
    format!("{list}Total reclaimed space: {}\n", size(freed))
}
