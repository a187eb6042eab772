//! The README's second command: check, then every test, with what they need installed and said.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{check, guest, leftovers::Snapshot, machine};

/// Programs that tests drive, with their Debian packages.
const PEERS: &[(&str, &str)] = &[
    ("mmdebstrap", "mmdebstrap"),
    ("gpg", "gpg"),
    ("gpgv", "gpgv"),
    ("skopeo", "skopeo"),
    ("podman", "podman"),
    ("buildah", "buildah"),
    ("dockerd", "docker.io"),
    ("docker-registry", "docker-registry"),
    ("runc", "runc"),
    ("crun", "crun"),
    ("newuidmap", "uidmap"),
    ("fsck.erofs", "erofs-utils"),
    ("python3", "python3"),
    ("jq", "jq"),
    ("strace", "strace"),
    ("mkfs.xfs", "xfsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
];

/// Suites of the outside view in `tests/`, each a test target of the crate there.
const SUITES: &[&str] = &["verbs", "rows", "peers", "software", "crash", "rootless", "readme"];

pub fn run(args: &[String]) -> Result<()> {
    machine::need(PEERS)?;
    match args.first().map(String::as_str) {
        None => {
            check::run()?;
            let before = Snapshot::take();
            unit()?;
            machine::build("release")?;
            for suite in SUITES.iter().filter(|suite| exists(suite)) {
                outside(suite)?;
            }
            release()?;
            before.compare()?;
        }
        Some("unit") => unit()?,
        Some("cgroup2") => guest::run(args.get(1).map(String::as_str))?,
        Some(suite) if SUITES.contains(&suite) && exists(suite) => {
            machine::build("release")?;
            let before = Snapshot::take();
            outside(suite)?;
            release()?;
            before.compare()?;
        }
        Some(other) => bail!("no suite {other}: unit or one of {}", SUITES.join(", ")),
    }
    eprintln!("xtask: all tests passed, and nothing was left behind");
    Ok(())
}

fn exists(suite: &str) -> bool {
    machine::root().join("tests").join("tests").join(format!("{suite}.rs")).exists()
        || machine::root().join("tests").join("tests").join(suite).join("main.rs").exists()
}

/// Tests of the rooms themselves.
fn unit() -> Result<()> {
    let mut cargo = cargo();
    cargo.args(["--workspace", "--exclude", "bulkhead-tests"]);
    machine::run(&mut cargo)
}

/// Tests that drive the shipped programs.
fn outside(suite: &str) -> Result<()> {
    let mut cargo = cargo();
    cargo.args(["-p", "bulkhead-tests", "--test", suite]);
    cargo.env("BULKHEAD_BIN", machine::built("release").join("bulkhead"));
    cargo.env("BULKHEAD_TEST_HOME", home());
    machine::run(&mut cargo)
}

/// The home that the suites share keeps its image (it is a cache) but not its mounts.
fn release() -> Result<()> {
    let home = home();
    if !home.exists() {
        return Ok(());
    }
    let mut bulkhead = Command::new(machine::built("release").join("bulkhead"));
    bulkhead.arg("--root").arg(home.join("root")).arg("--run-root").arg(home.join("run"));
    machine::run(bulkhead.args(["system", "release"]))
}

fn home() -> PathBuf {
    machine::root().join("target").join("test-home")
}

fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(machine::root()).args(["test", "--locked", "--quiet", "--no-fail-fast"]);
    if machine::is_ci() || machine::is_root() {
        // Declared, not guessed: a missing right is then a failure and no skip.
        cargo.env("BULKHEAD_MUST_RUN", "root,peers");
    }
    cargo
}
