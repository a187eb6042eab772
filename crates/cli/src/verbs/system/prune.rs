//! `system prune`

use crate::console;
use crate::failure::Result;
use crate::filters;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::units::size;
use crate::verbs::image::rm::line;

/// Flags of `system prune`.
#[derive(clap::Args, Debug)]
pub struct Prune {
    /// Remove all unused images not just dangling ones
    #[arg(short = 'a', long)]
    all: bool,
    /// Provide filter values (e.g. "label=<key>=<value>")
    #[arg(long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short = 'f', long)]
    force: bool,
    /// Prune anonymous volumes
    #[arg(long)]
    volumes: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Prune {
    const SPELLINGS: &'static [&'static str] = &["system prune"];
    const USAGE: &'static str = "[OPTIONS]";
    const ABOUT: &'static str = "Remove unused data";
    const WORDS: Words = Words::exactly(0);

    fn run(self, session: &Session) -> Result<u8> {
        let filters = filters::parse(&self.filter)?;
        if !self.force && !console::confirm(&self.question())? {
            return Ok(0);
        }
        let engine = session.engine()?;
        let (containers, mut freed) = engine.prune_containers(&filters)?;
        let mut text = list("Deleted Containers:", &containers);
        if self.volumes {
            let (volumes, bytes) = engine.prune_volumes(false, &filters)?;
            freed += bytes;
            text.push_str(&list("Deleted Volumes:", &volumes));
        }
        let (images, bytes) = engine.prune_images(self.all, &filters)?;
        let images: Vec<String> = images
            .iter()
            .map(|removed| line(removed).trim_end().replace("Untagged", "untagged").replace("Deleted", "deleted"))
            .collect();
        text.push_str(&list("Deleted Images:", &images));
        console::out(&format!("{text}Total reclaimed space: {}\n", size(freed + bytes)))?;
        Ok(0)
    }
}

impl Prune {
    fn question(&self) -> String {
        let images = if self.all {
            "all images without at least one container associated to them"
        } else {
            "all dangling images"
        };
        let volumes = if self.volumes { "  - all anonymous volumes not used by at least one container\n" } else { "" };
        format!(
            "WARNING! This will remove:\n  - all stopped containers\n{volumes}  - {images}\n\nAre you sure you want to continue?"
        )
    }
}

fn list(title: &str, gone: &[String]) -> String {
    if gone.is_empty() { String::new() } else { format!("{title}\n{}\n\n", gone.join("\n")) }
}
