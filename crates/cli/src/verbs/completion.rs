//! `completion`

use clap_complete::Shell;

use super::first;
use crate::console;
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;

/// `completion`
#[derive(clap::Args, Debug)]
pub struct Completion {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Completion {
    const SPELLINGS: &'static [&'static str] = &["completion"];
    const USAGE: &'static str = "bash|zsh|fish";
    const ABOUT: &'static str = "Generate the completion script for a shell";
    const WORDS: Words = Words::exactly(1);

    fn run(self, session: &Session) -> Result<u8> {
        let shell = match first(&self.words) {
            "bash" => Shell::Bash,
            "zsh" => Shell::Zsh,
            "fish" => Shell::Fish,
            other => return Err(Failure::new(format!("no completions for {other:?}: choose bash, zsh or fish"))),
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut (session.tree)(), "bulkhead", &mut script);
        console::out_bytes(&script)?;
        Ok(0)
    }
}
