//! `pause` and `unpause`

use super::each;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;

/// `pause`
#[derive(clap::Args, Debug)]
pub struct Pause {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Pause {
    const SPELLINGS: &'static [&'static str] = &["pause", "container pause"];
    const USAGE: &'static str = "CONTAINER [CONTAINER...]";
    const ABOUT: &'static str = "Pause all processes within one or more containers";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        let engine = session.engine()?;
        each(&self.words, |name| Ok(engine.pause(name)?))
    }
}

/// `unpause`
#[derive(clap::Args, Debug)]
pub struct Unpause {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Unpause {
    const SPELLINGS: &'static [&'static str] = &["unpause", "container unpause"];
    const USAGE: &'static str = "CONTAINER [CONTAINER...]";
    const ABOUT: &'static str = "Unpause all processes within one or more containers";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        let engine = session.engine()?;
        each(&self.words, |name| Ok(engine.unpause(name)?))
    }
}
