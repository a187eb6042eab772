//! `kill -9` at each step, a full disk, and two hundred at once: the next command repairs, and nothing is left behind.
//!
//! The kill is injected by strace at the N-th system call of each process of the command, monitor included, so no hook
//! for it exists in the product.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use bulkhead_tests::{DEBIAN, Home, program, root_is_here, shared, unique};

/// Runs the program on a home and kills each of its processes at its `number`-th system call.
fn killed_at(home: &Home, number: usize, words: &[&str]) {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject=all:signal=KILL:when={number}")]);
    command
        .arg(program())
        .arg("--root")
        .arg(home.folder().join("root"))
        .arg("--run-root")
        .arg(home.folder().join("run"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("strace is installed");
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Everything that a container occupies on disk and in memory, by kind.
fn holdings(home: &Home) -> Vec<(String, BTreeSet<String>)> {
    let folders = [
        "root/containers",
        "root/names",
        "root/uppers",
        "root/ranges",
        "root/volumes",
        "run/containers",
        "run/pending",
    ];
    folders.iter().map(|folder| ((*folder).to_owned(), names(&home.folder().join(folder)))).collect()
}

fn cgroups() -> BTreeSet<String> {
    let hierarchies = names(Path::new("/sys/fs/cgroup"));
    let groups = hierarchies.iter().flat_map(|one| {
        let inside = names(&Path::new("/sys/fs/cgroup").join(one).join("bulkhead"));
        inside.into_iter().filter(|name| name.len() == 64).map(move |name| format!("{one}/{name}"))
    });
    groups.collect()
}

/// A home of this test alone with the Debian image in it.
fn own_home() -> Home {
    let home = Home::new();
    let archive = home.folder().join("debian.tar");
    shared().bulkhead(["save", "-o", &archive.display().to_string(), DEBIAN]).ok();
    home.bulkhead(["load", "-q", "-i", &archive.display().to_string()]).ok();
    std::fs::remove_file(archive).expect("the archive goes");
    home
}

#[test]
fn a_kill_at_any_step_of_run_is_repaired_by_the_next_command() {
    if !root_is_here() {
        return;
    }
    let home = own_home();
    home.bulkhead(["run", "--rm", "-v", "/data", DEBIAN, "true"]).ok();
    let before = holdings(&home);
    for number in (1..600).step_by(13) {
        killed_at(&home, number, &["run", "--rm", "-v", "/data", DEBIAN, "true"]);
        let rest = home.bulkhead(["ps", "-a", "-q"]).ok();
        for id in rest.lines() {
            home.bulkhead(["rm", "-f", "-v", id]).ok();
        }
        assert_eq!(holdings(&home), before, "after a kill at system call {number}");
    }
    home.bulkhead(["run", "--rm", DEBIAN, "true"]).ok();
}

#[test]
fn a_kill_at_any_step_of_rm_is_repaired_by_the_next_command() {
    if !root_is_here() {
        return;
    }
    let home = own_home();
    home.bulkhead(["run", "--rm", "-v", "/data", DEBIAN, "true"]).ok();
    let before = holdings(&home);
    for number in (1..400).step_by(17) {
        let name = unique("rm");
        home.bulkhead(["create", "--name", &name, "-v", "/data", DEBIAN, "true"]).ok();
        killed_at(&home, number, &["rm", "-v", &name]);
        let again = home.bulkhead(["rm", "-v", &name]);
        assert!(again.code == 0 || again.stderr.contains("No such container"), "{again:?}");
        home.bulkhead(["ps", "-a", "-q"]).ok();
        home.bulkhead(["volume", "prune", "-f"]).ok();
        assert_eq!(holdings(&home), before, "after a kill at system call {number}");
    }
}

#[test]
fn a_killed_monitor_takes_its_container_with_it() {
    if !root_is_here() {
        return;
    }
    let home = own_home();
    let name = unique("orphan");
    home.bulkhead(["run", "-d", "--name", &name, DEBIAN, "sleep", "1000"]).ok();
    let pid = home.inspect(&name, "{{.State.Pid}}");
    let id = home.inspect(&name, "{{.Id}}");
    let parent = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let parent =
        parent.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)).expect("a parent").to_owned();
    Command::new("kill").args(["-9", &parent]).status().expect("kill");
    for _ in 0..100 {
        if !Path::new(&format!("/proc/{pid}")).exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "the container outlived its monitor");
    assert_eq!(home.inspect(&name, "{{.State.Status}}"), "exited");
    home.bulkhead(["ps", "-a", "-q"]).ok();
    assert!(!cgroups().iter().any(|group| group.ends_with(&id)), "its cgroups are still there");
    home.bulkhead(["start", &name]).ok();
    home.bulkhead(["rm", "-f", &name]).ok();
}

#[test]
fn two_hundred_runs_at_once_do_not_interfere() {
    if !root_is_here() {
        return;
    }
    let home = own_home();
    let before = holdings(&home);
    let mut children = Vec::new();
    for number in 0..200 {
        let text = format!("echo {number}");
        let mut command = home.command(["run", "--rm", "--network", "none", DEBIAN, "sh", "-c", &text]);
        children.push((number, command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")));
    }
    for (number, child) in children {
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim(), number.to_string(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let after: Vec<_> = holdings(&home);
    assert_eq!(after, before);
}

#[test]
fn a_full_disk_refuses_and_leaves_nothing() {
    if !root_is_here() {
        return;
    }
    let home = Home::new();
    let archive = home.folder().join("debian.tar");
    shared().bulkhead(["save", "-o", &archive.display().to_string(), DEBIAN]).ok();
    let small = home.folder().join("small");
    std::fs::create_dir(&small).expect("a folder");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=60m", "tmpfs"]).arg(&small).status();
    assert!(mount.expect("mount").success());
    let run = |words: &[&str]| {
        let mut command = Command::new(program());
        command.arg("--root").arg(small.join("root")).arg("--run-root").arg(small.join("run")).args(words);
        command.stdin(Stdio::null()).output().expect("it starts")
    };
    let load = run(&["load", "-q", "-i", &archive.display().to_string()]);
    let text = String::from_utf8_lossy(&load.stderr).into_owned();
    let images = run(&["images", "-q"]);
    let prune = run(&["system", "prune", "-f"]);
    let layers = names(&small.join("root/layers"));
    let left = names(&small.join("root/layers/tmp"));
    assert!(run(&["system", "reset", "--force"]).status.success());
    assert!(Command::new("umount").arg(&small).status().expect("umount").success());
    assert!(!load.status.success() && text.contains("No space left"), "{text}");
    assert!(images.stdout.is_empty() && prune.status.success());
    assert!(left.is_empty() && layers.iter().all(|name| !name.ends_with(".erofs")), "{layers:?} {left:?}");
}
