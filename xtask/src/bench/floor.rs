//! The C program that does the kernel work alone.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::machine;

/// Compiles it, static and optimised; returns its path.
pub fn build() -> Result<PathBuf> {
    let folder = machine::built("release");
    std::fs::create_dir_all(&folder)?;
    let program = folder.join("floor");
    let source = machine::root().join("xtask/bench/floor.c");
    machine::run(Command::new("cc").args(["-O2", "-static", "-o"]).arg(&program).arg(source))?;
    Ok(program)
}
