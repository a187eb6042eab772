//! `pull`

use bulkhead_engine::Locked;
use bulkhead_types::Platform;

use super::reference;
use crate::console;
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words, platform};
use crate::session::Session;
use crate::show::progress::{Target, teller};
use crate::verbs::{first, refuse};

/// Flags of `pull`.
#[derive(clap::Args, Debug)]
pub struct Pull {
    #[arg(short = 'a', long, hide = true)]
    all_tags: bool,
    /// Notary signatures are never checked, which is Docker's default too; only asking for the check is refused.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_content_trust: Option<String>,
    /// Pull the images of a lock file, each by its digest
    #[arg(long)]
    lock: Option<String>,
    /// Set platform if the image is for several
    #[arg(long, value_parser = platform)]
    platform: Option<Platform>,
    /// Suppress verbose output
    #[arg(short = 'q', long)]
    quiet: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Pull {
    const SPELLINGS: &'static [&'static str] = &["pull", "image pull"];
    const USAGE: &'static str = "[OPTIONS] NAME[:TAG|@DIGEST] | --lock FILE";
    const ABOUT: &'static str = "Download an image from a registry";
    const WORDS: Words = Words::between(0, 1);

    fn run(self, session: &Session) -> Result<u8> {
        refuse("--all-tags", self.all_tags, "pull each tag by its name")?;
        let checks = self.disable_content_trust.as_deref() == Some("false");
        refuse("--disable-content-trust=false", checks, "signatures are not checked yet: pull by digest")?;
        match (&self.lock, self.words.is_empty()) {
            (Some(path), true) => return self.locked(path, session),
            (Some(_), false) => return Err(Failure::new("--lock names the images itself: leave out the name")),
            (None, true) => return Err(Failure::new("'bulkhead pull' needs the name of an image, or --lock FILE")),
            (None, false) => {}
        }
        let name = reference(first(&self.words))?;
        let engine = session.engine()?;
        if !self.quiet
            && !first(&self.words).contains('@')
            && name.tag() == Some("latest")
            && !first(&self.words).ends_with(":latest")
        {
            console::line("Using default tag: latest")?;
        }
        let progress = teller(self.quiet, Target::Stdout);
        let pulled = engine.pull(&name, self.platform, &*progress)?;
        drop(progress);
        if !self.quiet {
            let status = if pulled.changed { "Downloaded newer image for" } else { "Image is up to date for" };
            console::line(&format!("Status: {status} {}", pulled.reference.familiar()))?;
        }
        console::line(&pulled.reference.to_string())?;
        Ok(0)
    }
}

impl Pull {
    /// Everything of the file is read before anything is fetched.
    fn locked(&self, path: &str, session: &Session) -> Result<u8> {
        refuse("--platform", self.platform.is_some(), "a digest in a lock file is of one platform: leave it out")?;
        let cannot = |why: &dyn std::fmt::Display| Failure::new(format!("cannot pull by {path}: {why}"));
        let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
        let all = Locked::parse_all(&text).map_err(|error| cannot(&error))?;
        let engine = session.engine()?;
        for locked in &all {
            let progress = teller(self.quiet, Target::Stdout);
            let pulled = engine.pull_locked(locked, &*progress)?;
            drop(progress);
            console::line(&pulled.reference.to_string())?;
        }
        Ok(0)
    }
}
