//! `wait`

use bulkhead_engine::WaitCondition;

use super::each_printing;
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;

/// `wait`
#[derive(clap::Args, Debug)]
pub struct Wait {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Wait {
    const SPELLINGS: &'static [&'static str] = &["wait", "container wait"];
    const USAGE: &'static str = "CONTAINER [CONTAINER...]";
    const ABOUT: &'static str = "Block until one or more containers stop, then print their exit codes";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        let engine = session.engine()?;
        each_printing(&self.words, |name| {
            let waited = engine.wait(name, WaitCondition::NotRunning)?;
            if waited.error.is_empty() {
                Ok(format!("{}\n", waited.status.code()))
            } else {
                Err(Failure::new(waited.error))
            }
        })
    }
}
