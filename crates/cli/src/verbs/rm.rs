//! `rm`

use bulkhead_types::ErrorClass;

use super::{each_printing, refuse};
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;

/// Flags of `rm`.
#[derive(clap::Args, Debug)]
pub struct Rm {
    /// Force the removal of a running container (uses SIGKILL)
    #[arg(short = 'f', long)]
    force: bool,
    #[arg(short = 'l', long, hide = true)]
    link: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short = 'v', long)]
    volumes: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Rm {
    const SPELLINGS: &'static [&'static str] = &["rm", "container rm", "container remove"];
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";
    const ABOUT: &'static str = "Remove one or more containers";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        refuse("--link", self.link, "there are no links to remove")?;
        let engine = session.engine()?;
        each_printing(&self.words, |name| match engine.remove(name, self.force, self.volumes) {
            // `rm -f` of what is gone already has nothing left to do.
            Err(error) if self.force && error.class == ErrorClass::NotFound => {
                crate::console::complain(&error.message);
                Ok(String::new())
            }
            other => Ok(other.map(|()| format!("{name}\n"))?),
        })
    }
}
