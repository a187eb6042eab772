//! `commit`

use bulkhead_engine::CommitRequest;
use clap::ArgAction;

use super::first;
use crate::console;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;

/// Flags of `commit`.
#[derive(clap::Args, Debug)]
pub struct Commit {
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(short = 'a', long)]
    author: Option<String>,
    /// Apply Dockerfile instruction to the created image
    #[arg(short = 'c', long)]
    change: Vec<String>,
    /// Commit message
    #[arg(short = 'm', long)]
    message: Option<String>,
    /// Pause container during commit (default true)
    #[arg(short = 'p', long, action = ArgAction::SetFalse)]
    pause: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Commit {
    const SPELLINGS: &'static [&'static str] = &["commit", "container commit"];
    const USAGE: &'static str = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]";
    const ABOUT: &'static str = "Create a new image from a container's changes";
    const WORDS: Words = Words::between(1, 2);

    fn run(self, session: &Session) -> Result<u8> {
        let request = CommitRequest {
            reference: self.words.get(1).cloned(),
            message: self.message,
            author: self.author,
            changes: self.change,
            pause: self.pause,
        };
        let id = session.engine()?.commit(first(&self.words), &request)?;
        console::line(&id.to_string())?;
        Ok(0)
    }
}
