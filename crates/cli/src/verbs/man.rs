//! `man`

use std::path::Path;

use super::first;
use crate::console;
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;

/// `man`
#[derive(clap::Args, Debug)]
pub struct Man {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Man {
    const SPELLINGS: &'static [&'static str] = &["man"];
    const USAGE: &'static str = "DIRECTORY";
    const ABOUT: &'static str = "Write the man pages into a directory";
    const WORDS: Words = Words::exactly(1);

    fn run(self, session: &Session) -> Result<u8> {
        let directory = Path::new(first(&self.words));
        let cannot =
            |error: std::io::Error| Failure::new(format!("cannot write man pages to {}: {error}", directory.display()));
        std::fs::create_dir_all(directory).map_err(cannot)?;
        clap_mangen::generate_to((session.tree)(), directory).map_err(cannot)?;
        console::line(&format!("man pages written to {}", directory.display()))?;
        Ok(0)
    }
}
