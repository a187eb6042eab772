//! `cp`: files in and out, with Docker's rules for what the target means.
//!
//! Packing and unpacking on the host is done by a process of its own (`internal tar-out`, `internal tar-in`), as inside
//! the container: no thread is needed to join the two ends of a stream, and an archive from a container is read by a
//! process that holds nothing else.

use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bulkhead_engine::{Engine, PathStat};

use crate::console::{self, StdoutWriter};
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::units::size;

/// Flags of `cp`.
#[derive(clap::Args, Debug)]
pub struct Cp {
    /// Archive mode (copy all uid/gid information)
    #[arg(short = 'a', long)]
    archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Suppress progress output during copy
    #[arg(short = 'q', long)]
    quiet: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Cp {
    const SPELLINGS: &'static [&'static str] = &["cp", "container cp"];
    const USAGE: &'static str =
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tbulkhead cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH";
    const ABOUT: &'static str = "Copy files/folders between a container and the local filesystem";
    const WORDS: Words = Words::exactly(2);

    fn run(self, session: &Session) -> Result<u8> {
        let [source, target] = self.words.as_slice() else { return Ok(1) };
        match (Place::parse(source), Place::parse(target)) {
            (Place::Inside { container, path }, Place::Host(target)) => {
                self.copy_out(session.engine()?, container, path, target)
            }
            (Place::Host(source), Place::Inside { container, path }) => {
                self.copy_in(session.engine()?, source, container, path)
            }
            (Place::Inside { .. }, Place::Inside { .. }) => {
                Err(Failure::new("copying between containers is not supported"))
            }
            (Place::Host(_), Place::Host(_)) => Err(Failure::new("must specify at least one container source")),
        }
    }
}

/// One of the two arguments.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Inside { container: &'a str, path: &'a str },
    Host(&'a str),
}

impl<'a> Place<'a> {
    fn parse(word: &'a str) -> Self {
        match word.split_once(':') {
            Some((container, path)) if !word.starts_with('/') && !word.starts_with('.') && !container.is_empty() => {
                Self::Inside { container, path }
            }
            _ => Self::Host(word),
        }
    }
}

/// What a path asks for by its form.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    /// Last component; empty where only what is in the directory is meant (`/`, `x/.`).
    base: String,
    /// It ends in `/`: it must be a directory.
    slash: bool,
}

impl Named {
    fn of(path: &str) -> Self {
        let contents = path == "." || path.ends_with("/.");
        let base = if contents { "" } else { path.trim_end_matches('/').rsplit('/').next().unwrap_or_default() };
        Self { base: base.to_owned(), slash: path.ends_with('/') || contents }
    }
}

/// What is at the target.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// A directory.
    Directory(String),
    /// Something else: its directory and name.
    File { dir: String, name: String },
    /// Nothing, in this directory.
    Missing { dir: String, name: String },
}

/// Where to unpack, and what the topmost entry is called there (empty: its contents go into the directory).
fn destination(source: &Named, source_is_dir: bool, target: Target, target_slash: bool) -> Result<(String, String)> {
    match target {
        Target::Directory(dir) => Ok((dir, source.base.clone())),
        Target::File { .. } if source_is_dir => Err(Failure::new("cannot copy directory: the target is a file")),
        Target::File { .. } if target_slash => Err(Failure::new("not a directory: the target is a file")),
        Target::Missing { .. } if target_slash && !source_is_dir => {
            Err(Failure::new("no such directory: a target that ends in / must exist"))
        }
        Target::File { dir, name } | Target::Missing { dir, name } => Ok((dir, name)),
    }
}

const KIND: u32 = 0o170_000;

fn is_dir(stat: &PathStat) -> bool {
    stat.mode & KIND == 0o040_000
}

fn is_link(stat: &PathStat) -> bool {
    stat.mode & KIND == 0o120_000
}

/// `/a/b` into `/a` and `b`.
fn split(path: &str) -> (String, String) {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit_once('/') {
        Some(("", name)) => ("/".into(), name.into()),
        Some((dir, name)) => (dir.into(), name.into()),
        None => (".".into(), trimmed.into()),
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn program() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg("internal");
    command
}

fn cannot_run(error: std::io::Error) -> Failure {
    Failure::new(format!("cannot start the copying process: {error}"))
}

impl Cp {
    fn copy_out(&self, engine: &Engine, container: &str, path: &str, target: &str) -> Result<u8> {
        let source = absolute(path);
        if target == "-" {
            if console::stdout_is_terminal() {
                return Err(Failure::new("cowardly refusing to copy an archive to a terminal: redirect it"));
            }
            engine.copy_out(container, &source, self.follow_link, &mut StdoutWriter)?;
            return Ok(0);
        }
        let missing = || Failure::new(format!("Could not find the file {path} in container {container}"));
        let stat = engine.stat_path(container, &source)?.ok_or_else(missing)?;
        let mut source_is_dir = is_dir(&stat);
        if is_link(&stat) && self.follow_link {
            let behind = engine.stat_path(container, &format!("{source}/."))?;
            source_is_dir = behind.is_some_and(|stat| is_dir(&stat));
        }
        let mut named = Named::of(&source);
        if named.base == ".." {
            // It has no name of its own inside either: what is in it is copied.
            named.base.clear();
        }
        let (dir, name) = destination(&named, source_is_dir, local_target(target)?, target.ends_with('/'))?;
        let mut command = program();
        command.arg("tar-in").arg("--host");
        if self.archive {
            command.arg("--preserve");
        }
        // Also where nothing is renamed: an entry of another name is refused, so that not even an archive that the
        // container has forged reaches anything beside the target.
        if !(name.is_empty() && named.base.is_empty()) {
            command.args(["--from", &named.base, "--to", &name]);
        }
        let mut child = command.arg("--").arg(&dir).stdin(Stdio::piped()).spawn().map_err(cannot_run)?;
        let mut sink = Counted { stream: child.stdin.take(), bytes: 0 };
        let sent = engine.copy_out(container, &source, self.follow_link, &mut sink);
        let bytes = sink.bytes;
        drop(sink);
        finish(child, sent.map_err(Failure::from))?;
        self.report(bytes, target);
        Ok(0)
    }

    fn copy_in(&self, engine: &Engine, source: &str, container: &str, path: &str) -> Result<u8> {
        let path = absolute(path);
        if source == "-" {
            let target = inside_target(engine, container, &path)?;
            let Target::Directory(dir) = target else {
                return Err(Failure::new(format!("destination \"{container}:{path}\" must be a directory")));
            };
            engine.copy_in(container, &dir, self.archive, &mut BufReader::new(std::io::stdin()))?;
            return Ok(0);
        }
        let named = local_name(source)?;
        let follow = self.follow_link || named.slash;
        let meta = if follow { std::fs::metadata(source) } else { std::fs::symlink_metadata(source) };
        let meta = meta.map_err(|error| Failure::new(format!("cannot copy {source}: {error}")))?;
        if named.slash && !meta.is_dir() {
            return Err(Failure::new(format!("cannot copy {source}: not a directory")));
        }
        let target = inside_target(engine, container, &path)?;
        let (dir, name) = destination(&named, meta.is_dir(), target, path.ends_with('/'))?;
        let mut command = program();
        command.args(["tar-out", "--name", &name]);
        if follow {
            command.arg("--follow");
        }
        let mut child = command.arg("--").arg(source).stdout(Stdio::piped()).spawn().map_err(cannot_run)?;
        let mut stream = Counted { stream: child.stdout.take(), bytes: 0 };
        let taken = engine.copy_in(container, &dir, self.archive, &mut stream);
        let bytes = stream.bytes;
        drop(stream);
        finish(child, taken.map_err(Failure::from))?;
        self.report(bytes, &format!("{container}:{path}"));
        Ok(0)
    }

    fn report(&self, bytes: u64, target: &str) {
        if !self.quiet && console::stderr_is_terminal() {
            console::note(&format!("Successfully copied {} to {target}", size(bytes)));
        }
    }
}

/// The child has said on standard error why it failed. If both ends failed, the engine's text is the cause unless it
/// only noticed that the child went away.
fn finish(mut child: Child, engine: Result<()>) -> Result<()> {
    let status = child.wait().map_err(cannot_run)?;
    match engine {
        Ok(()) if status.success() => Ok(()),
        Err(failure) if status.success() || status.code().is_none() => Err(failure),
        Ok(()) | Err(_) => Err(Failure::silent(1)),
    }
}

/// Docker: a target is followed if it is a link.
fn local_target(path: &str) -> Result<Target> {
    let cannot = |error: std::io::Error| Failure::new(format!("cannot copy to {path}: {error}"));
    let text =
        |path: PathBuf| path.into_os_string().into_string().map_err(|_| Failure::new("the target's path is not UTF-8"));
    let real = match std::fs::canonicalize(path.trim_end_matches("/.")) {
        Ok(real) => real,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let (dir, name) = split(path);
            let dir = if dir.is_empty() { "/".to_owned() } else { dir };
            if !std::fs::metadata(&dir).map_err(cannot)?.is_dir() {
                return Err(Failure::new(format!("cannot copy to {path}: {dir} is no directory")));
            }
            return Ok(Target::Missing { dir, name });
        }
        Err(error) => return Err(cannot(error)),
    };
    if real.is_dir() {
        return Ok(Target::Directory(text(real)?));
    }
    let (dir, name) = split(&text(real)?);
    Ok(Target::File { dir, name })
}

/// As [`local_target`], inside.
fn inside_target(engine: &Engine, container: &str, path: &str) -> Result<Target> {
    let trimmed = path.trim_end_matches("/.");
    let trimmed = if trimmed.is_empty() { "/" } else { trimmed };
    let directory = |path: &str| -> Result<bool> {
        Ok(engine.stat_path(container, &format!("{}/.", path.trim_end_matches('/')))?.is_some_and(|stat| is_dir(&stat)))
    };
    if directory(trimmed)? {
        return Ok(Target::Directory(trimmed.to_owned()));
    }
    let (mut dir, mut name) = split(trimmed);
    match engine.stat_path(container, trimmed.trim_end_matches('/'))? {
        None => {
            if !directory(&dir)? {
                return Err(Failure::new(format!("Could not find the directory {dir} in container {container}")));
            }
            Ok(Target::Missing { dir, name })
        }
        Some(stat) => {
            if is_link(&stat) {
                // One step, as Docker does; a longer chain is replaced at its second link.
                let behind = if stat.link_target.starts_with('/') {
                    stat.link_target
                } else {
                    format!("{dir}/{}", stat.link_target)
                };
                (dir, name) = split(&behind);
            }
            Ok(Target::File { dir, name })
        }
    }
}

/// `..` and the like have no name of their own.
fn local_name(path: &str) -> Result<Named> {
    let named = Named::of(path);
    if named.base != ".." {
        return Ok(named);
    }
    let real = std::fs::canonicalize(path).map_err(|error| Failure::new(format!("cannot copy {path}: {error}")))?;
    let base = Path::new(&real).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Named { base, slash: true })
}

/// Counts what passes.
struct Counted<S> {
    stream: Option<S>,
    bytes: u64,
}

impl<S: Write> Write for Counted<S> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.stream.as_mut().map_or(Ok(0), |stream| stream.write(bytes))?;
        self.bytes += count as u64;
        Ok(count)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl<S: Read> Read for Counted<S> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.stream.as_mut().map_or(Ok(0), |stream| stream.read(buffer))?;
        self.bytes += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(Place::parse("web:/etc"), Place::Inside { container: "web", path: "/etc" });
        assert_eq!(Place::parse("./a:b"), Place::Host("./a:b"));
        assert_eq!(Place::parse("/a:b"), Place::Host("/a:b"));
        assert_eq!(Place::parse("-"), Place::Host("-"));
        assert_eq!(Named::of("/etc/hosts"), Named { base: "hosts".into(), slash: false });
        assert_eq!(Named::of("/etc/"), Named { base: "etc".into(), slash: true });
        assert_eq!(Named::of("/etc/."), Named { base: String::new(), slash: true });
        assert_eq!(Named::of("/"), Named { base: String::new(), slash: true });
        assert_eq!(split("/a"), ("/".into(), "a".into()));
        assert_eq!(split("a"), (".".into(), "a".into()));
        assert_eq!(split("/a/b/"), ("/a".into(), "b".into()));
    }

    /// The table of Docker's reference for `docker cp`.
    #[test]
    fn dockers_rules() {
        let missing = || Target::Missing { dir: "/d".into(), name: "new".into() };
        let file = || Target::File { dir: "/d".into(), name: "old".into() };
        let dir = || Target::Directory("/d".into());
        let named = |path| Named::of(path);
        let ok = |dir: &str, name: &str| Some((dir.to_owned(), name.to_owned()));
        let table = [
            ("/s/f", false, missing(), false, ok("/d", "new")),
            ("/s/f", false, missing(), true, None),
            ("/s/f", false, file(), false, ok("/d", "old")),
            ("/s/f", false, dir(), false, ok("/d", "f")),
            ("/s", true, missing(), false, ok("/d", "new")),
            ("/s", true, missing(), true, ok("/d", "new")),
            ("/s", true, file(), false, None),
            ("/s", true, dir(), false, ok("/d", "s")),
            ("/s/.", true, dir(), false, ok("/d", "")),
            ("/s/.", true, missing(), false, ok("/d", "new")),
        ];
        for (source, is_dir, target, slash, expected) in table {
            let found = destination(&named(source), is_dir, target.clone(), slash).ok();
            assert_eq!(found, expected, "{source} to {target:?}");
        }
    }
}
