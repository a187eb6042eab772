//! What the outside-view tests share: a home for the shipped program, and a way to run it and look at what it said.
//!
//! The program is `$BULKHEAD_BIN` (`cargo xtask test` sets it), or the debug build beside the test.

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The Debian image that tests run; made once from the signed archive, then kept in the shared home.
pub const DEBIAN: &str = "debian:bookworm";

/// A pair of roots.
#[derive(Debug)]
pub struct Home {
    folder: PathBuf,
    kept: bool,
}

/// What a run of the program gave.
#[derive(Debug)]
pub struct Run {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    what: String,
}

impl Run {
    fn new(what: String, output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            what,
        }
    }

    /// Asserts success and returns trimmed standard output.
    #[track_caller]
    pub fn ok(&self) -> String {
        self.fails(0);
        self.stdout.trim_end().to_owned()
    }

    /// Asserts this exit code.
    #[track_caller]
    pub fn fails(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{}\n--- stdout\n{}--- stderr\n{}", self.what, self.stdout, self.stderr);
        self
    }

    /// Asserts that standard error holds this text.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "{}: no {text:?} in\n{}", self.what, self.stderr);
        self
    }
}

/// The shipped program.
#[must_use]
pub fn program() -> PathBuf {
    std::env::var_os("BULKHEAD_BIN").map_or_else(
        || {
            let mut path = std::env::current_exe().unwrap_or_default();
            path.pop();
            path.pop();
            path.join("bulkhead")
        },
        PathBuf::from,
    )
}

/// True if the run declared that this right is there; then a missing one is a failure and no skip.
#[must_use]
pub fn must_run(right: &str) -> bool {
    std::env::var("BULKHEAD_MUST_RUN").is_ok_and(|list| list.split(',').any(|one| one == right))
}

/// True if the test may go on as root; prints the reason if not.
///
/// # Panics
/// If the run declared `root` and we are not.
#[must_use]
pub fn root_is_here() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    assert!(root || !must_run("root"), "BULKHEAD_MUST_RUN names root, but this is an ordinary user");
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// The home that all tests of all suites share, with the Debian image in it. It stays between runs (it is a cache);
/// `cargo xtask test` resets its mounts at the end.
#[must_use]
pub fn shared() -> &'static Home {
    static SHARED: OnceLock<Home> = OnceLock::new();
    SHARED.get_or_init(|| {
        let folder = shared_folder();
        let home = Home { folder, kept: true };
        let create = std::fs::create_dir_all(&home.folder);
        create.expect("the shared home can be made");
        // Only one test process at a time makes the image.
        let lock = std::fs::File::create(home.folder.join("lock")).expect("a lock file");
        lock.lock().expect("the lock");
        if home.bulkhead(["image", "inspect", DEBIAN]).code != 0 {
            home.bulkhead(["image", "base", "debian", "bookworm"]).ok();
        }
        home
    })
}

/// Where [`shared`] lives.
#[must_use]
pub fn shared_folder() -> PathBuf {
    std::env::var_os("BULKHEAD_TEST_HOME")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-home"), PathBuf::from)
}

impl Home {
    /// A fresh, empty one; everything in it is gone when it is dropped.
    ///
    /// # Panics
    /// If no folder can be made.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("bulkhead-test-").tempdir().expect("a folder").keep();
        Self { folder, kept: false }
    }

    /// Its folder, for files of the test.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command of the program with these words, on this home.
    pub fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, words: I) -> Command {
        let mut command = Command::new(program());
        command.arg("--root").arg(self.folder.join("root")).arg("--run-root").arg(self.folder.join("run"));
        command.args(words).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn bulkhead<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, words: I) -> Run {
        let mut command = self.command(words);
        let what = format!("{command:?}");
        Run::new(what, &command.output().expect("the program starts"))
    }

    /// Runs the program with this standard input.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn bulkhead_with<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, words: I, input: &[u8]) -> Run {
        use std::io::Write as _;
        let mut command = self.command(words);
        let what = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        let input = input.to_vec();
        // The program may leave without reading it all.
        let writer = std::thread::spawn(move || pipe.write_all(&input).is_ok());
        let run = Run::new(what, &child.wait_with_output().expect("the program ends"));
        writer.join().expect("the writer ends");
        run
    }

    /// `inspect --format`.
    pub fn inspect(&self, container: &str, template: &str) -> String {
        self.bulkhead(["inspect", "--format", template, container]).ok()
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let run = self.bulkhead(["system", "reset", "--force"]);
        let removed = std::fs::remove_dir_all(&self.folder);
        if !std::thread::panicking() {
            assert_eq!(run.code, 0, "system reset: {}", run.stderr);
            removed.expect("the home can be removed");
        }
    }
}

/// A container's name that no other test uses.
#[must_use]
pub fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A container that is removed when the test ends, passed or not.
#[derive(Debug)]
pub struct Container<'a> {
    home: &'a Home,
    /// Its name.
    pub name: String,
}

impl<'a> Container<'a> {
    /// `run -d --name UNIQUE WORDS`.
    #[track_caller]
    pub fn start(home: &'a Home, words: &[&str]) -> Self {
        let container = Self { home, name: unique("test") };
        let front = ["run", "-d", "--name", &container.name];
        home.bulkhead(front.iter().chain(words)).ok();
        container
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let run = self.home.bulkhead(["rm", "-f", "-v", &self.name]);
        if !std::thread::panicking() && !run.stderr.contains("No such container") {
            assert_eq!(run.code, 0, "rm -f: {}", run.stderr);
        }
    }
}

/// A real registry on a loopback port, gone when it is dropped.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Registry {
    /// Starts it with its files in this folder. `accounts` are lines as `htpasswd -B` writes them; empty: open to all.
    ///
    /// # Panics
    /// If `docker-registry` is missing or does not answer.
    #[must_use]
    pub fn start(folder: &Path, accounts: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").to_string();
        let data = folder.join("registry");
        std::fs::create_dir_all(&data).expect("a folder");
        let mut text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            data.display()
        );
        if !accounts.is_empty() {
            let list = folder.join("accounts");
            std::fs::write(&list, accounts).expect("a list of accounts");
            text += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", list.display());
        }
        let config = folder.join("registry.yml");
        std::fs::write(&config, text).expect("a configuration");
        let mut command = Command::new("docker-registry");
        let child = command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let registry = Self { child: child.expect("docker-registry is installed"), address };
        let begin = Instant::now();
        while TcpStream::connect(&registry.address).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(30), "the registry does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("the registry ends");
    }
}

/// Runs another program, asserts success and returns trimmed standard output.
///
/// # Panics
/// If it is missing or fails.
#[track_caller]
pub fn must(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
