//! `diff`

use bulkhead_engine::ChangeKind;

use super::first;
use crate::console;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;

/// `diff`
#[derive(clap::Args, Debug)]
pub struct Diff {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Diff {
    const SPELLINGS: &'static [&'static str] = &["diff", "container diff"];
    const USAGE: &'static str = "CONTAINER";
    const ABOUT: &'static str = "Inspect changes to files or directories on a container's filesystem";
    const WORDS: Words = Words::exactly(1);

    fn run(self, session: &Session) -> Result<u8> {
        let changes = session.engine()?.diff(first(&self.words))?;
        let lines: String = changes
            .iter()
            .map(|change| {
                let letter = match change.kind {
                    ChangeKind::Changed => 'C',
                    ChangeKind::Added => 'A',
                    ChangeKind::Deleted => 'D',
                };
                format!("{letter} {}\n", change.path)
            })
            .collect();
        console::out(&lines)?;
        Ok(0)
    }
}
