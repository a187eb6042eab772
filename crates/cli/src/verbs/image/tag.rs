//! `tag`

use super::reference;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;

/// `tag`
#[derive(clap::Args, Debug)]
pub struct Tag {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Tag {
    const SPELLINGS: &'static [&'static str] = &["tag", "image tag"];
    const USAGE: &'static str = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]";
    const ABOUT: &'static str = "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE";
    const WORDS: Words = Words::exactly(2);

    fn run(self, session: &Session) -> Result<u8> {
        if let [source, target] = self.words.as_slice() {
            let target = reference(target)?;
            session.engine()?.tag(source, &target)?;
        }
        Ok(0)
    }
}
