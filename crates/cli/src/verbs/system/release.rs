//! `system release`

use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;

/// `system release`
#[derive(clap::Args, Debug)]
pub struct Release {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Release {
    const SPELLINGS: &'static [&'static str] = &["system release"];
    const USAGE: &'static str = "";
    const ABOUT: &'static str = "Unmount the layers that no container uses; the next run mounts them again";
    const WORDS: Words = Words::exactly(0);

    fn run(self, session: &Session) -> Result<u8> {
        session.engine()?.release()?;
        Ok(0)
    }
}
