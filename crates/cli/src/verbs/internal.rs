//! `internal …`: what monitors and the engine's own processes call. Not for users.

use std::path::Path;

use bulkhead_engine::transfer::{PackOptions, UnpackOptions, pack, stat_json, unpack};
use bulkhead_types::ContainerId;

use super::first;
use crate::console::{self, StdoutWriter};
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;

/// `internal restart`
#[derive(clap::Args, Debug)]
pub struct Restart {
    #[arg(hide = true)]
    words: Vec<String>,
}

fn id(words: &[String]) -> Result<ContainerId> {
    first(words).parse().map_err(|error: bulkhead_types::IdError| Failure::new(error.to_string()))
}

impl Verb for Restart {
    const SPELLINGS: &'static [&'static str] = &["internal restart"];
    const USAGE: &'static str = "ID";
    const ABOUT: &'static str = "Start a container again by its policy";
    const WORDS: Words = Words::exactly(1);
    const HIDDEN: bool = true;

    fn run(self, session: &Session) -> Result<u8> {
        session.engine()?.restart_by_policy(&id(&self.words)?)?;
        Ok(0)
    }
}

/// `internal reap`
#[derive(clap::Args, Debug)]
pub struct Reap {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Reap {
    const SPELLINGS: &'static [&'static str] = &["internal reap"];
    const USAGE: &'static str = "ID";
    const ABOUT: &'static str = "Remove a container whose client is gone";
    const WORDS: Words = Words::exactly(1);
    const HIDDEN: bool = true;

    fn run(self, session: &Session) -> Result<u8> {
        session.engine()?.reap(&id(&self.words)?)?;
        Ok(0)
    }
}

/// `internal tar-out`
#[derive(clap::Args, Debug)]
pub struct TarOut {
    /// Pack what a link leads to
    #[arg(long)]
    follow: bool,
    /// Name of the topmost entry
    #[arg(long)]
    name: Option<String>,
    /// Leave out what other mounts hold
    #[arg(long)]
    one_mount: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for TarOut {
    const SPELLINGS: &'static [&'static str] = &["internal tar-out"];
    const USAGE: &'static str = "[--follow] [--one-mount] [--name NAME] PATH";
    const ABOUT: &'static str = "Write a tar of a path to standard output";
    const WORDS: Words = Words::exactly(1);
    const HIDDEN: bool = true;

    fn run(self, _: &Session) -> Result<u8> {
        let options = PackOptions { follow: self.follow, name: self.name, one_mount: self.one_mount };
        let mut out = std::io::BufWriter::with_capacity(1 << 16, StdoutWriter);
        pack(Path::new(first(&self.words)), &options, &mut out)?;
        std::io::Write::flush(&mut out)?;
        Ok(0)
    }
}

/// `internal tar-in`
#[derive(clap::Args, Debug)]
pub struct TarIn {
    /// Keep owners
    #[arg(long)]
    preserve: bool,
    /// No devices, setuid bits or file capabilities
    #[arg(long)]
    host: bool,
    /// What entries begin with
    #[arg(long)]
    from: Option<String>,
    /// What they shall begin with
    #[arg(long)]
    to: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for TarIn {
    const SPELLINGS: &'static [&'static str] = &["internal tar-in"];
    const USAGE: &'static str = "[--preserve] [--host] [--from NAME --to NAME] DIR";
    const ABOUT: &'static str = "Unpack a tar from standard input below a directory";
    const WORDS: Words = Words::exactly(1);
    const HIDDEN: bool = true;

    fn run(self, _: &Session) -> Result<u8> {
        let rename = match (self.from, self.to) {
            (None, None) => None,
            (from, to) => Some((from.unwrap_or_default(), to.unwrap_or_default())),
        };
        let options = UnpackOptions { owners: self.preserve, host: self.host, rename };
        let mut input = std::io::BufReader::with_capacity(1 << 16, std::io::stdin());
        unpack(Path::new(first(&self.words)), &options, &mut input)?;
        Ok(0)
    }
}

/// `internal stat`
#[derive(clap::Args, Debug)]
pub struct Stat {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Stat {
    const SPELLINGS: &'static [&'static str] = &["internal stat"];
    const USAGE: &'static str = "PATH";
    const ABOUT: &'static str = "Describe a path as JSON";
    const WORDS: Words = Words::exactly(1);
    const HIDDEN: bool = true;

    fn run(self, _: &Session) -> Result<u8> {
        console::line(&stat_json(Path::new(first(&self.words)))?.to_string())?;
        Ok(0)
    }
}
