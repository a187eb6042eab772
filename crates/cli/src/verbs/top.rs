//! `top`

use super::first;
use crate::console;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::table;

/// `top`
#[derive(clap::Args, Debug)]
pub struct Top {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Top {
    const SPELLINGS: &'static [&'static str] = &["top", "container top"];
    const USAGE: &'static str = "CONTAINER [ps OPTIONS]";
    const ABOUT: &'static str = "Display the running processes of a container";
    const WORDS: Words = Words::at_least(1);
    const OPTIONS_FIRST: bool = true;

    fn run(self, session: &Session) -> Result<u8> {
        let options = self.words.get(1..).unwrap_or_default();
        let (titles, rows) = session.engine()?.top(first(&self.words), options)?;
        let line = |cells: &Vec<String>| {
            let cells: Vec<_> = cells.iter().map(|cell| console::cell(cell)).collect();
            format!("{}\n", cells.join("\t"))
        };
        let lines: String = std::iter::once(&titles).chain(&rows).map(line).collect();
        // Docker's columns are at least twenty wide here.
        console::out(&table::align_from(&lines, 20))?;
        Ok(0)
    }
}
