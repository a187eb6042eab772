//! `image base debian`

use std::path::PathBuf;

use bulkhead_engine::BaseRequest;

use crate::console;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::progress::{Target, teller};

/// Flags of `image base debian`.
#[derive(clap::Args, Debug)]
pub struct BaseDebian {
    /// Further packages, with commas between
    #[arg(long)]
    include: Vec<String>,
    /// Keyring that the archive must be signed by (default: Debian's)
    #[arg(long)]
    keyring: Option<PathBuf>,
    /// Mirror or snapshot to fetch from (default: the host's own sources)
    #[arg(long)]
    mirror: Option<String>,
    /// Suppress verbose output
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Name of the image (default debian:SUITE)
    #[arg(short = 't', long)]
    tag: Option<String>,
    /// Set of packages: minbase (default), essential, apt, required, important, standard
    #[arg(long)]
    variant: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for BaseDebian {
    const SPELLINGS: &'static [&'static str] = &["image base debian"];
    const USAGE: &'static str = "[OPTIONS] [SUITE]";
    const ABOUT: &'static str = "Make a Debian base image from the signed archive";
    const WORDS: Words = Words::between(0, 1);

    fn run(self, session: &Session) -> Result<u8> {
        let include = self.include.iter().flat_map(|list| list.split(',')).filter(|name| !name.is_empty());
        let request = BaseRequest {
            suite: self.words.first().cloned().unwrap_or_else(|| "bookworm".into()),
            mirror: self.mirror,
            keyring: self.keyring,
            include: include.map(str::to_owned).collect(),
            reference: self.tag,
            variant: self.variant,
        };
        let engine = session.engine()?;
        let progress = teller(self.quiet, Target::Stderr);
        let made = engine.image_base_debian(&request, &*progress)?;
        drop(progress);
        if self.quiet {
            console::line(&made.id.to_string())?;
        } else {
            console::line(&format!("Digest: {}\n{}", made.digest, made.reference.familiar()))?;
        }
        Ok(0)
    }
}
