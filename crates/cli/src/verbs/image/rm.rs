//! `rmi`, `image rm`

use bulkhead_engine::Removed;
use bulkhead_types::ErrorClass;

use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::verbs::{each_printing, refuse};

/// Flags of `image rm`.
#[derive(clap::Args, Debug)]
pub struct Rm {
    /// Force removal of the image
    #[arg(short = 'f', long)]
    force: bool,
    #[arg(long, hide = true)]
    no_prune: bool,
    #[arg(long, hide = true)]
    platform: Vec<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Rm {
    const SPELLINGS: &'static [&'static str] = &["rmi", "image rm", "image remove"];
    const USAGE: &'static str = "[OPTIONS] IMAGE [IMAGE...]";
    const ABOUT: &'static str = "Remove one or more images";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        refuse("--no-prune", self.no_prune, "there are no untagged parents to keep: leave it out")?;
        refuse("--platform", !self.platform.is_empty(), "an image here is of one platform: leave it out")?;
        let engine = session.engine()?;
        each_printing(&self.words, |name| match engine.remove_image(name, self.force) {
            Err(error) if self.force && error.class == ErrorClass::NotFound => {
                crate::console::complain(&error.message);
                Ok(String::new())
            }
            other => Ok(other?.iter().map(line).collect()),
        })
    }
}

/// `Untagged: name` or `Deleted: id`.
pub fn line(removed: &Removed) -> String {
    match removed {
        Removed::Untagged(reference) => format!("Untagged: {}\n", reference.familiar()),
        Removed::Deleted(id) => format!("Deleted: {id}\n"),
    }
}
