//! `save`

use bulkhead_engine::SaveFormat;

use crate::failure::Result;
use crate::records::{Verb, Words, one_of};
use crate::session::Session;
use crate::verbs::export::Sink;
use crate::verbs::refuse;

/// Flags of `save`.
#[derive(clap::Args, Debug)]
pub struct Save {
    /// Write to a file, instead of STDOUT
    #[arg(short = 'o', long)]
    output: Option<String>,
    /// Form of the archive: docker-archive (default) or oci-archive
    #[arg(long, value_parser = one_of(&["docker-archive", "oci-archive"]))]
    format: Option<String>,
    #[arg(long, hide = true)]
    platform: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Save {
    const SPELLINGS: &'static [&'static str] = &["save", "image save"];
    const USAGE: &'static str = "[OPTIONS] IMAGE [IMAGE...]";
    const ABOUT: &'static str = "Save one or more images to a tar archive (streamed to STDOUT by default)";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        refuse("--platform", self.platform.is_some(), "an image here is of one platform: leave it out")?;
        let format = match self.format.as_deref() {
            Some("oci-archive") => SaveFormat::OciArchive,
            _ => SaveFormat::DockerArchive,
        };
        let engine = session.engine()?;
        let mut sink = Sink::open(self.output.as_deref())?;
        engine.save(&self.words, format, sink.writer()).map_err(|error| sink.explain(error.into()))?;
        sink.finish()?;
        Ok(0)
    }
}
