//! `import`

use super::load::source;
use crate::console;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::verbs::{first, refuse};

/// Flags of `import`.
#[derive(clap::Args, Debug)]
pub struct Import {
    /// Apply Dockerfile instruction to the created image
    #[arg(short = 'c', long)]
    change: Vec<String>,
    /// Set commit message for imported image
    #[arg(short = 'm', long)]
    message: Option<String>,
    #[arg(long, hide = true)]
    platform: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Import {
    const SPELLINGS: &'static [&'static str] = &["import", "image import"];
    const USAGE: &'static str = "[OPTIONS] file|- [REPOSITORY[:TAG]]";
    const ABOUT: &'static str = "Import the contents from a tarball to create a filesystem image";
    const WORDS: Words = Words::between(1, 2);

    fn run(self, session: &Session) -> Result<u8> {
        refuse("--platform", self.platform.is_some(), "the image is made for this machine: leave it out")?;
        let path = first(&self.words);
        let remote = path.starts_with("http://") || path.starts_with("https://");
        refuse("an URL", remote, "fetch the file first, check its digest, then import it")?;
        let mut tar = source(path)?;
        let reference = self.words.get(1).map(String::as_str);
        let id = session.engine()?.import(&mut *tar, reference, self.message.as_deref(), &self.change)?;
        console::line(&id.to_string())?;
        Ok(0)
    }
}
