//! Everything that needs no privilege and no test run.

use std::process::Command;

use anyhow::Result;

use crate::{floors, machine, tidy};

/// The version of cargo-deny that the configuration is written for.
const DENY: &str = "0.20.2";

pub fn run() -> Result<()> {
    let root = machine::root();
    let cargo = |args: &[&str]| machine::run(Command::new("cargo").current_dir(&root).args(args));
    floors::run()?;
    tidy::run()?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--quiet", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    if !machine::has("cargo-deny") {
        eprintln!("xtask: installing cargo-deny {DENY}, because it is missing here (a few minutes)");
        cargo(&["install", "--quiet", "--locked", "--version", DENY, "cargo-deny", "--config", "build.rustflags=[]"])?;
    }
    cargo(&["deny", "--log-level", "warn", "check", "bans", "licenses", "sources"])?;
    eprintln!("xtask: check passed");
    Ok(())
}
