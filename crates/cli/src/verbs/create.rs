//! `create`

use super::create_flags::CreateFlags;
use crate::console;
use crate::failure::{Failure, NOT_STARTED, Result};
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::progress::{Target, teller};

/// Flags of `create`.
#[derive(clap::Args, Debug)]
pub struct Create {
    #[command(flatten)]
    flags: CreateFlags,
}

#[cfg(test)]
impl Create {
    /// For the tests of requests.
    pub fn into_flags(self) -> CreateFlags {
        self.flags
    }
}

impl Verb for Create {
    const SPELLINGS: &'static [&'static str] = &["create", "container create"];
    const USAGE: &'static str = "[OPTIONS] IMAGE [COMMAND] [ARG...]";
    const ABOUT: &'static str = "Create a new container";
    const WORDS: Words = Words::at_least(1);
    const OPTIONS_FIRST: bool = true;

    fn run(self, session: &Session) -> Result<u8> {
        let quiet = self.flags.life.quiet;
        let cidfile = self.flags.life.cidfile.clone();
        refuse_old_cidfile(cidfile.as_deref())?;
        let request = self.flags.request(false)?;
        let engine = session.engine().map_err(|failure| failure.or_code(NOT_STARTED))?;
        let progress = teller(quiet, Target::Stderr);
        let created = engine.create(&request, &*progress).map_err(|error| Failure::from(error).or_code(NOT_STARTED))?;
        drop(progress);
        write_cidfile(cidfile.as_deref(), created.id.as_str())?;
        if !quiet {
            created.warnings.iter().for_each(|warning| super::warn(warning));
        }
        console::line(created.id.as_str())?;
        Ok(0)
    }
}

/// Docker never writes over an id file: another container may still be known by it.
pub fn refuse_old_cidfile(path: Option<&str>) -> Result<()> {
    match path.filter(|path| std::fs::symlink_metadata(path).is_ok()) {
        None => Ok(()),
        Some(path) => Err(Failure {
            message: format!("container ID file found, make sure the other container isn't running or delete {path}"),
            code: NOT_STARTED,
            bare: false,
        }),
    }
}

/// Writes the id for `--cidfile`.
pub fn write_cidfile(path: Option<&str>, id: &str) -> Result<()> {
    use std::io::Write as _;
    let Some(path) = path else { return Ok(()) };
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(id.as_bytes()))
        .map_err(|error| {
            Failure::new(format!("cannot write the container ID file {path}: {error}")).or_code(NOT_STARTED)
        })
}
