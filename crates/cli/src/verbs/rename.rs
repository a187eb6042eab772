//! `rename`

use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;

/// `rename`
#[derive(clap::Args, Debug)]
pub struct Rename {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Rename {
    const SPELLINGS: &'static [&'static str] = &["rename", "container rename"];
    const USAGE: &'static str = "CONTAINER NEW_NAME";
    const ABOUT: &'static str = "Rename a container";
    const WORDS: Words = Words::exactly(2);

    fn run(self, session: &Session) -> Result<u8> {
        if let [container, name] = self.words.as_slice() {
            session.engine()?.rename(container, name)?;
        }
        Ok(0)
    }
}
