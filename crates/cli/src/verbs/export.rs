//! `export`

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::first;
use crate::console::{self, StdoutWriter};
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;

/// Flags of `export`.
#[derive(clap::Args, Debug)]
pub struct Export {
    /// Write to a file, instead of STDOUT
    #[arg(short = 'o', long)]
    output: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Export {
    const SPELLINGS: &'static [&'static str] = &["export", "container export"];
    const USAGE: &'static str = "[OPTIONS] CONTAINER";
    const ABOUT: &'static str = "Export a container's filesystem as a tar archive";
    const WORDS: Words = Words::exactly(1);

    fn run(self, session: &Session) -> Result<u8> {
        let mut sink = Sink::open(self.output.as_deref())?;
        let engine = session.engine()?;
        engine.export(first(&self.words), sink.writer()).map_err(|error| sink.explain(error.into()))?;
        sink.finish()?;
        Ok(0)
    }
}

/// Where an archive goes: a file that appears only when it is whole, or standard output.
#[derive(Debug)]
pub enum Sink {
    /// Standard output.
    Stdout(Checked<StdoutWriter>),
    /// A file under a temporary name beside its final one.
    File { part: PathBuf, path: PathBuf, file: Checked<std::io::BufWriter<File>> },
}

/// Remembers the first failure of writing: the engine's text for it cannot know where the bytes went.
#[derive(Debug)]
pub struct Checked<W> {
    sink: W,
    failure: Option<std::io::Error>,
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.sink.write(bytes).inspect_err(|error| {
            self.failure =
                Some(error.raw_os_error().map_or_else(|| error.kind().into(), std::io::Error::from_raw_os_error));
        })
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.sink.flush()
    }
}

impl Sink {
    /// Refuses to fill a terminal with an archive, as Docker does.
    pub fn open(path: Option<&str>) -> Result<Self> {
        let Some(path) = path.filter(|path| !path.is_empty() && *path != "-") else {
            if console::stdout_is_terminal() {
                return Err(Failure::new("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
            }
            return Ok(Self::Stdout(Checked { sink: StdoutWriter, failure: None }));
        };
        let cannot = |error: std::io::Error| Failure::new(format!("cannot write {path}: {error}"));
        // A device or pipe cannot be replaced by rename; it is written as it stands.
        let special = std::fs::metadata(path).is_ok_and(|meta| !meta.is_file());
        let part = if special { PathBuf::from(path) } else { part_of(Path::new(path)) };
        let file = if special { File::options().write(true).open(path) } else { File::create(&part) };
        let file = Checked { sink: std::io::BufWriter::with_capacity(1 << 18, file.map_err(cannot)?), failure: None };
        Ok(Self::File { part, path: PathBuf::from(path), file })
    }

    /// To write into.
    pub fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Stdout(sink) => sink,
            Self::File { file, .. } => file,
        }
    }

    /// The failure to tell: that of writing, if writing failed. The incomplete file goes.
    pub fn explain(&mut self, failure: Failure) -> Failure {
        self.forget();
        match self {
            Self::Stdout(sink) => sink.failure.take().map_or(failure, |error| match Failure::from(error) {
                told if told.message.is_empty() => told,
                told => Failure::new(format!("cannot write to standard output: {}", told.message)),
            }),
            Self::File { path, file, .. } => {
                let path = path.display();
                file.failure.take().map_or(failure, |error| Failure::new(format!("cannot write {path}: {error}")))
            }
        }
    }

    fn forget(&self) {
        if let Self::File { part, path, .. } = self
            && part != path
        {
            // It may be gone already; the failure that led here is the one to tell.
            drop(std::fs::remove_file(part));
        }
    }

    /// Makes it visible.
    pub fn finish(mut self) -> Result<()> {
        let done = match &mut self {
            Self::Stdout(_) => Ok(()),
            Self::File { part, path, file } => {
                file.flush().and_then(|()| if part == path { Ok(()) } else { std::fs::rename(&*part, &*path) })
            }
        };
        done.map_err(|error| {
            let failure = Failure::new(format!("cannot finish the archive: {error}"));
            self.explain(failure)
        })
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}
