//! `run`

use bulkhead_engine::{CreateRequest, Created, Engine};
use clap::ArgAction;

use super::create::{refuse_old_cidfile, tell, write_cidfile};
use super::create_flags::CreateFlags;
use crate::console;
use crate::failure::{Failure, NOT_STARTED, Result};
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::progress::{Target, teller};
use crate::stream::attach::{Ended, Wanted, serve};
use crate::stream::detach::DetachKeys;
use crate::stream::signals::Signals;
use crate::stream::terminal;

/// Flags of `run`.
#[derive(clap::Args, Debug)]
pub struct Run {
    #[command(flatten)]
    flags: CreateFlags,
    /// Run container in background and print container ID
    #[arg(short = 'd', long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long)]
    detach_keys: Option<String>,
    /// Proxy received signals to the process (default true)
    #[arg(long, action = ArgAction::SetFalse)]
    sig_proxy: bool,
}

impl Verb for Run {
    const SPELLINGS: &'static [&'static str] = &["run", "container run"];
    const USAGE: &'static str = "[OPTIONS] IMAGE [COMMAND] [ARG...]";
    const ABOUT: &'static str = "Create and run a new container from an image";
    const WORDS: Words = Words::at_least(1);
    const OPTIONS_FIRST: bool = true;

    fn run(self, session: &Session) -> Result<u8> {
        let quiet = self.flags.life.quiet;
        let cidfile = self.flags.life.cidfile.clone();
        let keys = DetachKeys::parse(self.detach_keys.as_deref()).map_err(|failure| failure.or_code(NOT_STARTED))?;
        refuse_old_cidfile(cidfile.as_deref())?;
        let request = self.flags.request(self.detach)?;
        if request.tty && request.attach.stdin && !terminal::stdin_is_terminal() {
            return Err(Failure::new(
                "cannot attach stdin to a TTY-enabled container because stdin is not a terminal: leave out -t or -i",
            ));
        }
        let engine = session.engine().map_err(|failure| failure.or_code(NOT_STARTED))?;
        // Held before anything exists, so that a signal that comes early still reaches the process.
        let signals = if self.detach { None } else { Some(Signals::hold()?) };
        let progress = teller(quiet, Target::Stderr);
        let created = engine.create(&request, &*progress).map_err(not_started)?;
        drop(progress);
        write_cidfile(cidfile.as_deref(), created.id.as_str())?;
        if !quiet {
            tell(&created);
        }
        match signals {
            None => detached(engine, &request, &created, quiet),
            Some(signals) => {
                let wanted = Wanted { stdin: request.attach.stdin, keys, proxy: self.sig_proxy };
                attached(engine, &request, &created, wanted, &signals, quiet)
            }
        }
    }
}

fn not_started(error: bulkhead_engine::Error) -> Failure {
    Failure::from(error).or_code(NOT_STARTED)
}

fn detached(engine: &Engine, request: &CreateRequest, created: &Created, quiet: bool) -> Result<u8> {
    let started = engine.start(created.id.as_str(), None).map_err(|error| undo(engine, request, created, error))?;
    if !quiet {
        started.warnings.iter().for_each(|warning| super::warn(warning));
    }
    console::line(created.id.as_str())?;
    Ok(0)
}

fn attached(
    engine: &Engine,
    request: &CreateRequest,
    created: &Created,
    wanted: Wanted,
    signals: &Signals,
    quiet: bool,
) -> Result<u8> {
    let started = engine
        .start(created.id.as_str(), Some(request.attach))
        .map_err(|error| undo(engine, request, created, error))?;
    if !quiet {
        started.warnings.iter().for_each(|warning| super::warn(warning));
    }
    let attachment = started.attachment.ok_or_else(|| Failure::new("the container started without its streams"))?;
    let ended = serve(&attachment, wanted, signals)?;
    if let Ended::Exited(_) = &ended
        && request.remove
    {
        engine.reap(&created.id).map_err(not_started)?;
    }
    Ok(exit_code(&ended))
}

/// A `--rm` container that could not start is not kept. The first error is the one that is told.
fn undo(engine: &Engine, request: &CreateRequest, created: &Created, error: bulkhead_engine::Error) -> Failure {
    if request.remove {
        drop(engine.remove(created.id.as_str(), true, true));
    }
    not_started(error)
}

/// The code that a client of a container ends with. A limit that was hit is told.
pub fn exit_code(ended: &Ended) -> u8 {
    match ended {
        Ended::Exited(exited) => {
            for told in [&exited.limit, &exited.error] {
                if !told.is_empty() {
                    console::complain(told);
                }
            }
            exited.status.code()
        }
        Ended::Detached => 0,
        Ended::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
    }
}
