//! Many containers: memory of their monitors, parallel starts, and whether the last start costs more than the first.

use std::process::{Child, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use super::paired::{median, verdict};
use super::peers::{IMAGE, PODMAN_RUN, Stage, command};
use crate::machine;

/// KiB of private memory of a process: what would be free if only it ended.
fn private_memory(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let private = text.lines().filter(|line| line.starts_with("Private_"));
    Some(private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum())
}

fn processes_named(name: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    pids.filter(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name))
        .collect()
}

fn start_idle(stage: &Stage, count: usize) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for number in 0..count {
        let name = format!("idle-{number}");
        let args = ["run", "-d", "--network", "none", "--name", &name, IMAGE, "sleep", "3600"];
        machine::output(&mut command(&stage.bulkhead, &args))?;
        names.push(name);
    }
    Ok(names)
}

fn remove(stage: &Stage, names: &[String]) -> Result<()> {
    for some in names.chunks(50) {
        let mut args = vec!["rm", "-f", "-t", "0"];
        args.retain(|word| *word != "-t" && *word != "0");
        args.extend(some.iter().map(String::as_str));
        machine::output(&mut command(&stage.bulkhead, &args))?;
    }
    Ok(())
}

/// Private memory of the monitors of thirty idle containers.
pub fn monitor(stage: &Stage) -> Result<()> {
    let names = start_idle(stage, 30)?;
    let mut memory: Vec<f64> =
        processes_named("bulkhead-monito").into_iter().filter_map(private_memory).map(|kib| kib as f64).collect();
    println!("   {} monitors", memory.len());
    verdict("private memory of a monitor", median(&mut memory), 400.0, " KiB");
    remove(stage, &names)
}

/// Fifty at once; all have run and are gone when the clock stops.
fn rate(front: &[String], options: &[&str], count: usize) -> Result<f64> {
    let words = [&["run", "--rm", "--network", "none"], options, &[IMAGE, "true"]].concat();
    let begin = Instant::now();
    let mut children: Vec<Child> = Vec::new();
    for _ in 0..count {
        let mut one = command(front, &words);
        children.push(one.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?);
    }
    for mut child in children {
        let status = child.wait()?;
        anyhow::ensure!(status.success(), "a parallel start failed: {status}");
    }
    Ok(count as f64 / begin.elapsed().as_secs_f64())
}

/// Containers a second when fifty are started at once.
pub fn parallel(stage: &Stage) -> Result<()> {
    let ours = rate(&stage.bulkhead, &[], 50)?;
    println!("   bulkhead {ours:.1} a second");
    for (name, peer) in [("podman", &stage.podman), ("docker", &stage.docker)] {
        let options: &[&str] = if name == "podman" { &PODMAN_RUN } else { &[] };
        let Some(peer) = peer else { continue };
        let theirs = rate(peer, options, 50).with_context(|| name.to_owned())?;
        println!("   {name} {theirs:.1} a second");
        verdict(&format!("{name}'s rate by ours"), theirs / ours, 0.1, "");
    }
    Ok(())
}

/// Five hundred idle ones: the last twenty starts against the first twenty.
pub fn idle(stage: &Stage) -> Result<()> {
    let mut times = Vec::new();
    let mut names = Vec::new();
    for number in 0..500 {
        let name = format!("idle-{number}");
        let begin = Instant::now();
        let args = ["run", "-d", "--network", "none", "--name", &name, IMAGE, "sleep", "3600"];
        machine::output(&mut command(&stage.bulkhead, &args))?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
        names.push(name);
    }
    let first = median(&mut times[..20].to_vec());
    let last = median(&mut times[480..].to_vec());
    println!("   first twenty {first:.2} ms, last twenty {last:.2} ms");
    verdict("the last start by the first", last / first, 1.3, "");
    remove(stage, &names)
}
