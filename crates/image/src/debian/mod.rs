//! A Debian base image from the signed archive, made by `mmdebstrap`: the same snapshot gives the same digest.
//!
//! Nothing unsigned gets in: the release files are verified here with `gpgv` against one keyring (their date becomes
//! the image's), apt verifies them and every package again, and sources or options that would switch that off are
//! refused.

mod root;
mod sources;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use bulkhead_types::{ErrorClass, ImageRef, Platform};

use crate::config::{History, ImageConfig};
use crate::model::{Error, Image, LayerSink, Progress};
use crate::shelf::Shelf;
use sources::Source;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const RELEASE_LIMIT: u64 = 16 << 20;
/// Lines of the program's own words that an error shows.
const LAST_WORDS: usize = 30;
const VARIANTS: [&str; 8] =
    ["minbase", "essential", "apt", "required", "buildd", "important", "debootstrap", "standard"];
/// What apt must not be talked out of.
const APT_OPTIONS: [&str; 5] = [
    "APT::Get::AllowUnauthenticated \"false\"",
    "Acquire::AllowInsecureRepositories \"false\"",
    "Acquire::AllowWeakRepositories \"false\"",
    "Acquire::AllowDowngradeToInsecureRepositories \"false\"",
    "Acquire::Check-Valid-Until \"true\"",
];

/// What to make.
#[derive(Clone, Debug, Default)]
pub struct DebianBase {
    /// `bookworm`, …
    pub suite: String,
    /// Archive; the host's own apt sources by default.
    pub mirror: Option<String>,
    /// Keyring (binary) that alone may have signed the archive; Debian's by default.
    pub keyring: Option<PathBuf>,
    /// Further packages.
    pub include: Vec<String>,
    /// `minbase` (default), `essential`, `apt`, …
    pub variant: Option<String>,
}

pub(crate) fn make(
    shelf: &Shelf,
    base: &DebianBase,
    reference: &ImageRef,
    sink: &dyn LayerSink,
    progress: &dyn Progress,
) -> Result<Image, Error> {
    check(base)?;
    let keyring = base.keyring.clone().unwrap_or_else(|| PathBuf::from(KEYRING));
    if !keyring.is_file() {
        let name = keyring.display();
        return Err(cure(format!("the keyring {name} is missing: `apt-get install debian-archive-keyring`")));
    }
    let sources = match &base.mirror {
        Some(mirror) => sources::of_mirror(mirror, &base.suite)?,
        None => sources::of_host(&base.suite)?,
    };
    let mut date = 0;
    for source in &sources {
        progress.update("", &format!("Verifying {}", source.file("InRelease")), 0, 0);
        date = date.max(release_date(source, &keyring)?);
    }
    let mut child = start(base, &sources, &keyring, date)?;
    let result = std::thread::scope(|scope| {
        let output = child.stdout.take().ok_or_else(lost)?;
        let words = child.stderr.take().ok_or_else(lost)?;
        let words = scope.spawn(move || listen(words, progress));
        let (reader, writer) = std::io::pipe().map_err(|cause| Error::io("making a pipe", &cause))?;
        let (verdict_in, verdict) = mpsc::channel();
        let child = &mut child;
        scope.spawn(move || {
            let outcome = root::clean(output, &writer, date);
            let outcome = finish(child, outcome, words.join().unwrap_or_default());
            // The reader is told before the pipe ends.
            drop(verdict_in.send(outcome));
            drop(writer);
        });
        let mut checked = Checked { reader, verdict, failure: None };
        let config = configuration(base, date)?;
        let image = crate::build::import(shelf, &mut checked, config, Some(reference), sink);
        match checked.failure {
            Some(failure) => Err(failure),
            None => image,
        }
    });
    // Whatever happened, the program is gone before we return.
    drop(child.wait());
    result
}

fn lost() -> Error {
    Error::new(ErrorClass::Internal, "a pipe to mmdebstrap is missing: a bug")
}

fn cure(text: String) -> Error {
    Error::new(ErrorClass::Unsupported, text)
}

fn check(base: &DebianBase) -> Result<(), Error> {
    let bad = |what: &str, text: &str| Err(Error::new(ErrorClass::Invalid, format!("{text:?} is no {what}")));
    let name = |text: &str, more: &[u8]| {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        first && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || more.contains(&b))
    };
    if !name(&base.suite, b"-.") {
        return bad("suite of Debian (bookworm, trixie, …)", &base.suite);
    }
    if let Some(package) = base.include.iter().find(|package| !name(package, b"+.-:")) {
        return bad("package name", package);
    }
    match &base.variant {
        Some(variant) if !VARIANTS.contains(&variant.as_str()) => {
            bad(&format!("variant; there are {}", VARIANTS.join(", ")), variant)
        }
        _ => Ok(()),
    }
}

/// Seconds since the epoch of a suite's release, after its signature was verified.
fn release_date(source: &Source, keyring: &Path) -> Result<u64, Error> {
    let address = source.file("InRelease");
    let bytes = match address.strip_prefix("file:") {
        Some(path) => {
            let path = Path::new("/").join(path.trim_start_matches('/'));
            std::fs::read(&path).map_err(|cause| Error::io(format_args!("reading {}", path.display()), &cause))?
        }
        None => crate::remote::fetch(&address, RELEASE_LIMIT)?,
    };
    let text = verified(&bytes, keyring, &address)?;
    let date = text.lines().find_map(|line| line.strip_prefix("Date:")).map(str::trim);
    let parse = |date: &str| {
        let date = date.replace(" UTC", " +0000");
        jiff::fmt::rfc2822::parse(&date).ok().and_then(|when| u64::try_from(when.timestamp().as_second()).ok())
    };
    date.and_then(parse).ok_or_else(|| {
        Error::new(ErrorClass::Invalid, format!("{address} is refused: it has no date that can be read"))
    })
}

/// The signed text of a release file.
fn verified(bytes: &[u8], keyring: &Path, address: &str) -> Result<String, Error> {
    let mut child = Command::new("gpgv")
        .arg("--keyring")
        .arg(keyring)
        .args(["--output", "-", "-"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| cure(format!("gpgv cannot be started ({cause}): `apt-get install gpgv`")))?;
    let input = child.stdin.take().ok_or_else(lost)?;
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A gpgv that stops reading says why itself.
            drop((&input).write_all(bytes));
            drop(input);
        });
        child.wait_with_output()
    })
    .map_err(|cause| Error::io("running gpgv", &cause))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        let why: Vec<&str> = why.lines().map(|line| line.trim_start_matches("gpgv: ").trim()).collect();
        return Err(Error::new(
            ErrorClass::Denied,
            format!(
                "{address} is refused: it is not signed by a key of {} ({}); if another archive is meant, name its \
                 keyring with --keyring",
                keyring.display(),
                why.join("; ")
            ),
        ));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| Error::new(ErrorClass::Invalid, format!("{address} is refused: it is no text")))
}

fn start(base: &DebianBase, sources: &[Source], keyring: &Path, date: u64) -> Result<Child, Error> {
    let mut command = Command::new("mmdebstrap");
    command.args(["--mode=auto", "--format=tar"]);
    command.arg(format!("--variant={}", base.variant.as_deref().unwrap_or("minbase")));
    command.arg(format!("--keyring={}", keyring.display()));
    for option in APT_OPTIONS {
        command.arg(format!("--aptopt={option}"));
    }
    if !base.include.is_empty() {
        command.arg(format!("--include={}", base.include.join(",")));
    }
    command.arg("--").arg(&base.suite).arg("-").args(sources.iter().map(|source| source.line(keyring)));
    // Nothing of our environment may show in the image.
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command.env("SOURCE_DATE_EPOCH", date.to_string());
    for kept in ["TMPDIR", "http_proxy", "https_proxy", "no_proxy"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => {
            cure("mmdebstrap, which makes the base image, is not installed: `apt-get install mmdebstrap`".into())
        }
        _ => Error::io("starting mmdebstrap", &cause),
    })
}

/// Passes the program's own words on and keeps the last.
fn listen(words: impl Read, progress: &dyn Progress) -> Vec<String> {
    use std::io::BufRead as _;
    let mut last: Vec<String> = Vec::new();
    for line in std::io::BufReader::new(words.take(16 << 20)).lines().map_while(Result::ok) {
        let line: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
        if let Some(said) = line.strip_prefix("I: ") {
            progress.update("", said, 0, 0);
        }
        if last.len() == LAST_WORDS {
            last.remove(0);
        }
        last.push(line);
    }
    last
}

/// Waits for the program; its failure explains a broken stream.
fn finish(child: &mut Child, outcome: Result<(), Error>, words: Vec<String>) -> Result<(), Error> {
    if outcome.is_err()
        && let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw)
    {
        // Not killed: it unmounts and removes its directory when asked to end. It may have ended already.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
    }
    let status = child.wait().map_err(|cause| Error::io("waiting for mmdebstrap", &cause))?;
    if status.success() {
        return outcome;
    }
    Err(Error::new(ErrorClass::Unavailable, format!("mmdebstrap failed ({status}): {}", words.join(" | "))))
}

/// A stream that only ends well if its producer did.
struct Checked {
    reader: std::io::PipeReader,
    verdict: mpsc::Receiver<Result<(), Error>>,
    failure: Option<Error>,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if count > 0 || buffer.is_empty() {
            return Ok(count);
        }
        match self.verdict.recv() {
            Ok(Ok(())) => Ok(0),
            Ok(Err(why)) => {
                let text = why.message.clone();
                self.failure = Some(why);
                Err(std::io::Error::other(text))
            }
            // Asked again after the verdict was given.
            Err(_) if self.failure.is_none() => Ok(0),
            Err(_) => Err(std::io::Error::other("the base image could not be made")),
        }
    }
}

fn configuration(base: &DebianBase, date: u64) -> Result<ImageConfig, Error> {
    let seconds = i64::try_from(date).unwrap_or(0);
    let created = jiff::Timestamp::from_second(seconds)
        .map_err(|cause| Error::new(ErrorClass::Invalid, format!("the release's date is refused: {cause}")))?
        .to_string();
    let platform = Platform::host();
    let mut config = ImageConfig {
        created: Some(created.clone()),
        architecture: platform.architecture,
        os: platform.os,
        variant: platform.variant,
        ..ImageConfig::default()
    };
    config.config.env = vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()];
    config.config.cmd = vec!["bash".into()];
    let variant = base.variant.as_deref().unwrap_or("minbase");
    let mut step = format!("bulkhead image base debian {} --variant {variant}", base.suite);
    for package in &base.include {
        step.push_str(&format!(" --include {package}"));
    }
    config.history = vec![History { created: Some(created), created_by: Some(step), ..History::default() }];
    Ok(config)
}
