//! `container inspect`

use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;

/// Flags of `container inspect`.
#[derive(clap::Args, Debug)]
pub struct ContainerInspect {
    /// Format output: 'json' or a Go TEMPLATE
    #[arg(short = 'f', long)]
    format: Option<String>,
    /// Display total file sizes
    #[arg(short = 's', long)]
    size: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for ContainerInspect {
    const SPELLINGS: &'static [&'static str] = &["container inspect"];
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";
    const ABOUT: &'static str = "Display detailed information on one or more containers";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        let engine = session.engine()?;
        super::inspect::print(&self.words, self.format.as_deref(), |name| Ok(engine.inspect(name, self.size)?))
    }
}
