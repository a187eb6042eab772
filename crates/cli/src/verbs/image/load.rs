//! `load`

use std::io::Read;

use crate::console;
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::progress::{Target, teller};
use crate::stream::terminal;
use crate::verbs::refuse;

/// Flags of `load`.
#[derive(clap::Args, Debug)]
pub struct Load {
    /// Read from tar archive file, instead of STDIN
    #[arg(short = 'i', long)]
    input: Option<String>,
    #[arg(long, hide = true)]
    platform: Option<String>,
    /// Suppress the load output
    #[arg(short = 'q', long)]
    quiet: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Load {
    const SPELLINGS: &'static [&'static str] = &["load", "image load"];
    const USAGE: &'static str = "[OPTIONS]";
    const ABOUT: &'static str = "Load an image from a tar archive or STDIN";
    const WORDS: Words = Words::exactly(0);

    fn run(self, session: &Session) -> Result<u8> {
        refuse("--platform", self.platform.is_some(), "the archive's image for this machine is loaded: leave it out")?;
        let mut source = source(self.input.as_deref().unwrap_or("-"))?;
        let progress = teller(self.quiet, Target::Stdout);
        let loaded = session.engine()?.load(&mut *source, &*progress)?;
        drop(progress);
        for line in loaded {
            // The engine names what it loaded; Docker's words come in front unless they are there already.
            let known = line.starts_with("Loaded image");
            let title = if line.starts_with("sha256:") { "Loaded image ID" } else { "Loaded image" };
            console::line(&if known { line } else { format!("{title}: {line}") })?;
        }
        Ok(0)
    }
}

/// A file, or standard input for `-`. A terminal is refused: nobody types an archive.
pub fn source(path: &str) -> Result<Box<dyn Read + Send>> {
    if path != "-" {
        let file = std::fs::File::open(path).map_err(|error| Failure::new(format!("cannot open {path}: {error}")))?;
        return Ok(Box::new(std::io::BufReader::with_capacity(1 << 18, file)));
    }
    if terminal::stdin_is_terminal() {
        return Err(Failure::new(
            "requested to read an archive from stdin, but stdin is a terminal: use -i or redirect",
        ));
    }
    Ok(Box::new(std::io::BufReader::with_capacity(1 << 18, std::io::stdin())))
}
