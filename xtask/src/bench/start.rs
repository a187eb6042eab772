//! `run --rm` and `exec`, the whole process timed from outside.

use anyhow::{Context, Result};

use super::paired::{Side, compare, median, verdict};
use super::peers::{IMAGE, PODMAN_RUN, Stage, command};
use crate::machine;

const ROUNDS: usize = 30;

fn with<'a>(front: &[String], rest: &[&'a str]) -> Vec<String> {
    front.iter().cloned().chain(rest.iter().map(|word: &&'a str| (*word).to_owned())).collect()
}

fn side<'a>(name: &'a str, front: &[String], rest: &[&str]) -> Side<'a> {
    Side { name, words: with(front, rest), before: None }
}

/// The folder that the image's layer is mounted on.
fn layer(stage: &Stage) -> Result<String> {
    // A container that exists keeps its layer mounted.
    let layers = stage.folder.join("run/layers");
    let mut found = std::fs::read_dir(&layers)?.flatten().map(|entry| entry.path());
    let mounted = found.find(|path| path.join("etc").is_dir()).context("no layer is mounted")?;
    Ok(mounted.display().to_string())
}

/// A short run of an image that is present, without a network.
pub fn start(stage: &Stage) -> Result<()> {
    let rest = ["run", "--rm", "--network", "none", IMAGE, "true"];
    let ours = side("bulkhead run --rm", &stage.bulkhead, &rest);
    ours.time()?;
    let lower = layer(stage)?;
    let work = stage.folder.join("floor").display().to_string();
    let floor_program = stage.floor.display().to_string();
    let floor = Side::new("floor", &[&floor_program, "run", &lower, &work, "/usr/bin/true"]);
    verdict("against the floor", compare(&ours, &floor, ROUNDS)?, 2.0, "");
    if machine::has("bwrap") {
        let bubblewrap =
            ["bwrap", "--unshare-all", "--ro-bind", &lower, "/", "--proc", "/proc", "--dev", "/dev", "true"];
        compare(&ours, &Side::new("bubblewrap (no limits)", &bubblewrap), ROUNDS)?;
    }
    if let Some(podman) = &stage.podman {
        let words = [&rest[..4], &PODMAN_RUN, &rest[4..]].concat();
        let ratio = compare(&ours, &side("podman run --rm", podman, &words), 10)?;
        verdict("against podman", ratio, 1.0 / 10.0, "");
    }
    if let Some(docker) = &stage.docker {
        let ratio = compare(&ours, &side("docker run --rm", docker, &rest), 10)?;
        verdict("against docker", ratio, 1.0 / 20.0, "");
    }
    Ok(())
}

/// A process into a running container.
pub fn exec(stage: &Stage) -> Result<()> {
    let name = "bench-exec";
    machine::output(&mut command(&stage.bulkhead, &["run", "-d", "--rm", "--name", name, IMAGE, "sleep", "600"]))?;
    let pid = machine::output(&mut command(&stage.bulkhead, &["inspect", "--format", "{{.State.Pid}}", name]))?;
    let ours = side("bulkhead exec", &stage.bulkhead, &["exec", name, "true"]);
    let program = stage.floor.display().to_string();
    let floor = Side::new("bare setns and exec", &[&program, "exec", pid.trim(), "true"]);
    let mut differences = Vec::new();
    for _ in 0..ROUNDS {
        differences.push((ours.time()?.as_secs_f64() - floor.time()?.as_secs_f64()) * 1e3);
    }
    compare(&ours, &floor, ROUNDS)?;
    verdict("above bare setns and exec", median(&mut differences), 3.0, " ms");
    machine::output(&mut command(&stage.bulkhead, &["rm", "-f", name]))?;
    Ok(())
}
