//! `create`

use bulkhead_engine::Created;

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
        let engine = session.engine()?;
        let progress = teller(quiet, Target::Stderr);
        let created = engine.create(&request, &*progress)?;
        drop(progress);
        write_cidfile(cidfile.as_deref(), created.id.as_str())?;
        if !quiet {
            tell(&created);
        }
        console::line(created.id.as_str())?;
        Ok(0)
    }
}

/// What the user should know about a new container: what weakens it, and warnings.
pub fn tell(created: &Created) {
    match created.concessions.len() {
        0 => {}
        1 => console::complain("one concession weakens this container:"),
        count => console::complain(&format!("{count} concessions weaken this container:")),
    }
    // Those that cost the same are named together, so that --privileged stays readable.
    let mut told: Vec<(&str, Vec<String>)> = Vec::new();
    for concession in &created.concessions {
        match told.iter_mut().find(|(consequence, _)| *consequence == concession.consequence()) {
            Some((_, titles)) => titles.push(concession.title()),
            None => told.push((concession.consequence(), vec![concession.title()])),
        }
    }
    for (consequence, titles) in told {
        console::note(&format!("  {}: {consequence}", titles.join(", ")));
    }
    created.warnings.iter().for_each(|warning| super::warn(warning));
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
