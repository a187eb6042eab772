//! The same verbs for an ordinary user, one made for the test with Debian's own tools.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use bulkhead_tests::{DEBIAN, program, root_is_here, shared};

/// A user with a home, subordinate ids and a run-time directory; all gone at the end.
struct User {
    name: String,
    folder: tempfile::TempDir,
}

fn must(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().expect("the program starts");
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl User {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |part: &str| folder.path().join(part).display().to_string();
        must("useradd", &["--create-home", "--home-dir", &path("home"), "--shell", "/bin/sh", name]);
        must("install", &["-d", "-m", "0711", &path(".")]);
        must("install", &["-d", "-m", "0700", "-o", name, &path("run")]);
        must("install", &["-d", "-m", "0755", &path("bin")]);
        let built = program();
        for file in [built.clone(), built.with_file_name("bulkhead-monitor")] {
            must("install", &["-m", "0755", &file.display().to_string(), &path("bin")]);
        }
        Self { name: name.to_owned(), folder }
    }

    fn path(&self, part: &str) -> PathBuf {
        self.folder.path().join(part)
    }

    /// Runs the program as this user.
    fn bulkhead(&self, words: &[&str]) -> Output {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &self.name, "--regid", &self.name, "--init-groups", "--inh-caps=-all"]);
        command.arg(self.path("bin/bulkhead")).args(words).env_clear().current_dir(self.path("home"));
        command.env("HOME", self.path("home")).env("XDG_RUNTIME_DIR", self.path("run"));
        command.env("USER", &self.name).env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        command.stdin(Stdio::null()).output().expect("setpriv starts")
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let output = self.bulkhead(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn load_debian(&self) {
        let archive = self.path("home/debian.tar");
        shared().bulkhead(["save", "-o", &archive.display().to_string(), DEBIAN]).ok();
        must("chown", &[&self.name, &archive.display().to_string()]);
        self.ok(&["load", "-q", "-i", &archive.display().to_string()]);
        std::fs::remove_file(archive).expect("the archive goes");
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let reset = self.bulkhead(&["system", "reset", "--force"]);
        must("userdel", &["--force", "--remove", &self.name]);
        if !std::thread::panicking() {
            assert!(reset.status.success(), "{}", String::from_utf8_lossy(&reset.stderr));
        }
    }
}

#[test]
fn the_verbs_work_for_an_ordinary_user() {
    if !root_is_here() {
        return;
    }
    let user = User::new("bulkhead-one");
    user.load_debian();
    assert_eq!(user.ok(&["run", "--rm", DEBIAN, "id", "-u"]), "0");
    user.ok(&["run", "-d", "--name", "one", "-v", "data:/data", DEBIAN, "sleep", "1000"]);
    user.ok(&["run", "-d", "--name", "two", DEBIAN, "sh", "-c", "echo said; sleep 1000"]);
    let map = |name: &str| user.ok(&["exec", name, "cat", "/proc/self/uid_map"]);
    assert_ne!(map("one"), map("two"), "two containers share a range");
    user.ok(&["exec", "one", "sh", "-c", "echo kept >/data/file; chown 33:33 /data/file"]);
    assert_eq!(user.ok(&["logs", "two"]), "said");
    assert_eq!(user.ok(&["ps", "-q"]).lines().count(), 2);
    user.ok(&["rm", "-f", "one", "two"]);
    let text = "cat /data/file; stat -c %u /data/file";
    assert_eq!(user.ok(&["run", "--rm", "-v", "data:/data", DEBIAN, "sh", "-c", text]), "kept\n33");
    assert_eq!(user.bulkhead(&["run", "--rm", DEBIAN, "sh", "-c", "exit 3"]).status.code(), Some(3));
    user.ok(&["volume", "rm", "data"]);
}

#[test]
fn without_subordinate_ids_the_error_names_the_cure() {
    if !root_is_here() {
        return;
    }
    let user = User::new("bulkhead-two");
    must("usermod", &["--del-subuids", "1-4294967294", "--del-subgids", "1-4294967294", &user.name]);
    let output = user.bulkhead(&["ps"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    must("usermod", &["--add-subuids", "700000000-700065535", "--add-subgids", "700000000-700065535", &user.name]);
    assert!(!output.status.success() && text.contains("--add-subuids"), "{text}");
}
