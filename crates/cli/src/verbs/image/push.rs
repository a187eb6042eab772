//! `push`

use super::reference;
use crate::console;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::progress::{Target, teller};
use crate::verbs::{first, refuse};

/// Flags of `push`.
#[derive(clap::Args, Debug)]
pub struct Push {
    #[arg(short = 'a', long, hide = true)]
    all_tags: bool,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_content_trust: Option<String>,
    #[arg(long, hide = true)]
    platform: Option<String>,
    /// Suppress verbose output
    #[arg(short = 'q', long)]
    quiet: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Push {
    const SPELLINGS: &'static [&'static str] = &["push", "image push"];
    const USAGE: &'static str = "[OPTIONS] NAME[:TAG]";
    const ABOUT: &'static str = "Upload an image to a registry";
    const WORDS: Words = Words::exactly(1);

    fn run(self, session: &Session) -> Result<u8> {
        refuse("--all-tags", self.all_tags, "push each tag by its name")?;
        refuse("--platform", self.platform.is_some(), "an image here is of one platform: leave it out")?;
        let signs = self.disable_content_trust.as_deref() == Some("false");
        refuse("--disable-content-trust=false", signs, "images are not signed yet: leave it out")?;
        let name = reference(first(&self.words))?;
        let engine = session.engine()?;
        let progress = teller(self.quiet, Target::Stdout);
        engine.push(&name, &*progress)?;
        drop(progress);
        if self.quiet {
            console::line(&name.to_string())?;
        }
        Ok(0)
    }
}
