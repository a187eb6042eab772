//! `image inspect`

use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::verbs::refuse;

/// Flags of `image inspect`.
#[derive(clap::Args, Debug)]
pub struct Inspect {
    /// Format output: 'json' or a Go TEMPLATE
    #[arg(short = 'f', long)]
    format: Option<String>,
    #[arg(long, hide = true)]
    platform: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Inspect {
    const SPELLINGS: &'static [&'static str] = &["image inspect"];
    const USAGE: &'static str = "[OPTIONS] IMAGE [IMAGE...]";
    const ABOUT: &'static str = "Display detailed information on one or more images";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        refuse("--platform", self.platform.is_some(), "an image here is of one platform: leave it out")?;
        let engine = session.engine()?;
        crate::verbs::inspect::print(&self.words, self.format.as_deref(), |name| Ok(engine.image_inspect(name)?))
    }
}
