//! `volume create`

use crate::console;
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::verbs::refuse;

/// Flags of `volume create`.
#[derive(clap::Args, Debug)]
pub struct Create {
    /// Specify volume driver name (default "local")
    #[arg(short = 'd', long)]
    driver: Option<String>,
    /// Set metadata for a volume
    #[arg(long)]
    label: Vec<String>,
    #[arg(long, hide = true)]
    name: Option<String>,
    /// Set driver specific options
    #[arg(short = 'o', long, value_name = "map")]
    opt: Vec<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Create {
    const SPELLINGS: &'static [&'static str] = &["volume create"];
    const USAGE: &'static str = "[OPTIONS] [VOLUME]";
    const ABOUT: &'static str = "Create a volume";
    const WORDS: Words = Words::between(0, 1);

    fn run(self, session: &Session) -> Result<u8> {
        let foreign = self.driver.as_deref().is_some_and(|driver| driver != "local");
        refuse("--driver", foreign, "the only driver is local")?;
        if self.name.is_some() && !self.words.is_empty() {
            return Err(Failure::new(
                "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
            ));
        }
        let name = self.words.into_iter().next().or(self.name);
        let volume = session.engine()?.volume_create(name.as_deref(), &self.label, &self.opt)?;
        console::line(&volume.name)?;
        Ok(0)
    }
}
