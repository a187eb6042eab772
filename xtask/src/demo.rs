//! The README's first command: a container of a real image, and what holds it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::machine;

/// What the Debian container shows of itself.
const LOOK_AROUND: &str = ". /etc/os-release; echo \"inside: $PRETTY_NAME, uid $(id -u), $(ls / | wc -l) entries in /\"; \
     grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status; cat /proc/self/uid_map; \
     mount -t tmpfs none /mnt 2>&1; unshare -U true 2>&1; echo 1 2>&1 > /proc/sysrq-trigger; true";

pub fn run(_: &[String]) -> Result<()> {
    eprintln!("xtask: building bulkhead (release); the first time takes a few minutes");
    let bulkhead = machine::build("release")?;
    let bulkhead = bulkhead.as_path();

    title("1. The image that is built in: our own binary looks for the walls around it");
    machine::run(Command::new(bulkhead).args(["run", "--rm", "bulkhead/walls"]))?;

    title("2. A real image: Debian, made from the signed archive");
    base(bulkhead)?;
    machine::run(Command::new(bulkhead).args(["run", "--rm", "debian:bookworm", "sh", "-c", LOOK_AROUND]))?;

    title("3. What holds it");
    machine::run(Command::new(bulkhead).args(["plan", "debian:bookworm"]))?;
    eprintln!("\nxtask: your turn: {} run -it --rm debian:bookworm bash", bulkhead.display());
    Ok(())
}

fn base(bulkhead: &Path) -> Result<()> {
    let present =
        Command::new(bulkhead).args(["image", "inspect", "--format", "{{.Id}}", "debian:bookworm"]).output()?;
    if present.status.success() {
        return Ok(());
    }
    machine::need(&[("mmdebstrap", "mmdebstrap"), ("gpgv", "gpgv")])?;
    machine::run(Command::new(bulkhead).args(["image", "base", "debian", "bookworm"]))
}

fn title(text: &str) {
    println!("\n\x1b[1m{text}\x1b[0m");
}
