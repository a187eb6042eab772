//! `cargo xtask test cgroup2`: the contract tests inside a virtual machine with Debian's own kernel.
//!
//! The machine this runs on may have one cgroup layout, one kernel and no security module; users' machines have others.
//! A guest under software emulation (never KVM: where `/dev/kvm` opens it may still not work) boots Debian's kernel with
//! the layout that is asked for, runs our test programs (they are static) and brings their results back over its
//! console.

mod disks;
mod report;
mod suites;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::machine;
use suites::{Boot, SUITES, Suite};

/// Programs of the host, with their Debian packages.
const NEEDS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mmdebstrap", "mmdebstrap"),
    ("mke2fs", "e2fsprogs"),
    ("cpio", "cpio"),
    ("strip", "binutils"),
    ("busybox", "busybox-static"),
    ("depmod", "kmod"),
];

/// How long a boot with all its suites may take before it counts as hung.
const BOOT_TIME: Duration = Duration::from_secs(25 * 60);

/// Runs all boots, or `BOOT`, or `BOOT:SUITE`.
pub fn run(which: Option<&str>) -> Result<()> {
    machine::need(NEEDS)?;
    let (boot, suite) = match which.map(|text| text.split_once(':').unwrap_or((text, ""))) {
        None => (None, None),
        Some((boot, suite)) => (Some(Boot::named(boot)?), Some(suite).filter(|name| !name.is_empty())),
    };
    let chosen: Vec<&Suite> = SUITES
        .iter()
        .filter(|one| boot.is_none_or(|boot| one.boot == boot) && suite.is_none_or(|name| one.name == name))
        .collect();
    if chosen.is_empty() {
        bail!("no such suite; there are: {}", SUITES.iter().map(Suite::title).collect::<Vec<_>>().join(", "));
    }
    let parts = disks::prepare(&chosen)?;
    let mut failed = Vec::new();
    for boot in Boot::ALL {
        let suites: Vec<&Suite> = chosen.iter().copied().filter(|one| one.boot == boot).collect();
        if !suites.is_empty() {
            failed.extend(self::boot(&parts, boot, &suites)?);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed inside the guest: {}", failed.join(", "))
}

/// One boot; the names of the suites that failed.
fn boot(parts: &disks::Parts, boot: Boot, suites: &[&Suite]) -> Result<Vec<String>> {
    let started = Instant::now();
    let jobs = disks::jobs(parts, boot, suites)?;
    let log = parts.folder.join(format!("{}.log", boot.name()));
    eprintln!(
        "xtask: booting Debian's kernel under software emulation ({}; console in {})",
        boot.name(),
        log.display()
    );
    emulate(parts, boot, &jobs, &log)?;
    let text = String::from_utf8_lossy(&std::fs::read(&log)?).replace('\r', "");
    let report = report::read(&text);
    let mut failed = Vec::new();
    for suite in suites {
        match report.outcomes.get(suite.name) {
            Some(outcome) if outcome.code == 0 && outcome.tests() > 0 => {
                eprintln!("guest {}: {}", suite.title(), outcome.summary());
            }
            Some(outcome) => {
                eprintln!("guest {}: exit code {}\n{}", suite.title(), outcome.code, outcome.tail(120));
                failed.push(suite.title());
            }
            None => failed.push(format!("{} (never ended)", suite.title())),
        }
    }
    if !failed.is_empty() && report.outcomes.len() < suites.len() {
        eprintln!("the end of the console:\n{}", report::tail(&text, 60));
    }
    for trouble in &report.troubles {
        eprintln!("guest {}: {trouble}", boot.name());
    }
    eprintln!("xtask: boot {} took {} s", boot.name(), started.elapsed().as_secs());
    Ok(failed)
}

fn emulate(parts: &disks::Parts, boot: Boot, jobs: &Path, log: &Path) -> Result<()> {
    let console = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let mut qemu = Command::new("qemu-system-x86_64");
    // tcg by name: a KVM that opens but cannot boot must not be taken by accident.
    qemu.args(["-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "4096"]);
    qemu.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio", "-nic", "none"]);
    qemu.args(["-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"]);
    qemu.arg("-kernel").arg(&parts.kernel).arg("-initrd").arg(&parts.initramfs);
    qemu.arg("-append").arg(format!("console=ttyS0 quiet panic=-1 mitigations=off {}", boot.words()));
    for (number, (disk, mode)) in
        [(&parts.root, "snapshot=on"), (&jobs.to_path_buf(), "readonly=on")].iter().enumerate()
    {
        let drive = format!("if=none,id=d{number},format=raw,file={},{mode}", disk.display());
        qemu.arg("-drive").arg(drive).arg("-device").arg(format!("virtio-blk-pci,drive=d{number}"));
    }
    let mut child = qemu.stdin(Stdio::null()).stdout(console).spawn().context("cannot start qemu-system-x86_64")?;
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("qemu-system-x86_64 failed: {status}");
            }
            return Ok(());
        }
        if started.elapsed() > BOOT_TIME {
            child.kill()?;
            child.wait()?;
            eprintln!("xtask: the guest was stopped after {} minutes", BOOT_TIME.as_secs() / 60);
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Where the guest's parts are kept between runs.
fn folder() -> PathBuf {
    machine::root().join("target").join("guest")
}
