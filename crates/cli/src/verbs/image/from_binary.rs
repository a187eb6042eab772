//! `image from-binary`

use std::path::Path;

use crate::console;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;

/// `image from-binary`
#[derive(clap::Args, Debug)]
pub struct FromBinary {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for FromBinary {
    const SPELLINGS: &'static [&'static str] = &["image from-binary"];
    const USAGE: &'static str = "PROGRAM REPOSITORY[:TAG]";
    const ABOUT: &'static str = "Make an image whose only file is a static program";
    const WORDS: Words = Words::exactly(2);

    fn run(self, session: &Session) -> Result<u8> {
        if let [program, reference] = self.words.as_slice() {
            let made = session.engine()?.image_from_binary(Path::new(program), reference)?;
            console::line(&made.id.to_string())?;
        }
        Ok(0)
    }
}
