//! `image lock`

use crate::console;
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::verbs::export::Sink;

/// Flags of `image lock`.
#[derive(clap::Args, Debug)]
pub struct Lock {
    /// Write to a file, instead of STDOUT
    #[arg(short = 'o', long)]
    output: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Lock {
    const SPELLINGS: &'static [&'static str] = &["image lock"];
    const USAGE: &'static str = "[OPTIONS] IMAGE [IMAGE...]";
    const ABOUT: &'static str = "Print the digest of each image, for 'pull --lock'";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        let engine = session.engine()?;
        let mut text = String::new();
        for name in &self.words {
            text.push_str(&format!("{}\n", engine.lock(name)?));
        }
        let Some(path) = self.output.as_deref() else {
            console::out(&text)?;
            return Ok(0);
        };
        let mut sink = Sink::open(Some(path))?;
        let written = sink.writer().write_all(text.as_bytes());
        written.map_err(|error| sink.explain(Failure::new(format!("cannot write {path}: {error}"))))?;
        sink.finish()?;
        Ok(0)
    }
}
