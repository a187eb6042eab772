//! Pulling the Debian base from a registry on loopback, unpacked and ready to run, on the machine's own disk.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::paired::{Side, compare, median, verdict};
use super::peers::{IMAGE, Registry, Stage, command};
use crate::machine;

const ROUNDS: usize = 5;

/// Processor seconds (own and children's) of one run of a command.
fn processor_time(command: &mut Command) -> Result<f64> {
    let mut timed = Command::new("bash");
    let program = command.get_program().to_string_lossy().into_owned();
    timed.args(["-c", "TIMEFORMAT='%U %S'; time \"$@\" >/dev/null 2>&1", "bash"]).arg(program).args(command.get_args());
    let output = timed.stderr(Stdio::piped()).stdout(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let sum = text.split_whitespace().map(str::parse::<f64>).sum::<Result<f64, _>>();
    sum.with_context(|| format!("no times in {text:?}"))
}

/// The whole.
pub fn pull(stage: &Stage) -> Result<()> {
    let registry = Registry::start(&stage.folder)?;
    let name = format!("{}/debian:bench", registry.address);
    machine::output(&mut command(&stage.bulkhead, &["tag", IMAGE, &name]))?;
    machine::output(command(&stage.bulkhead, &["push", "-q", &name]).stdout(Stdio::null()))?;
    // Another root, so that each pull begins with nothing and the other measurements keep their image.
    let fresh: Vec<String> = vec![
        stage.bulkhead.first().cloned().unwrap_or_default(),
        "--root".into(),
        stage.folder.join("pull-root").display().to_string(),
        "--run-root".into(),
        stage.folder.join("pull-run").display().to_string(),
    ];
    let forget = || machine::output(&mut command(&fresh, &["system", "reset", "--force"])).map(drop);
    let pull_words = |front: &[String]| {
        let mut words = front.to_vec();
        words.extend(["pull".to_owned(), "-q".to_owned(), name.clone()]);
        words
    };
    let ours = Side { name: "bulkhead pull", words: pull_words(&fresh), before: Some(&forget) };
    if let Some(podman) = &stage.podman {
        let before = || {
            Command::new("true").status()?;
            command(podman, &["rmi", "-f", "-a"]).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
            Ok(())
        };
        let mut words = podman.clone();
        words.extend(["pull", "-q", "--tls-verify=false", &name].map(str::to_owned));
        verdict(
            "against podman",
            compare(&ours, &Side { name: "podman pull", words, before: Some(&before) }, ROUNDS)?,
            0.2,
            "",
        );
    }
    if let Some(docker) = &stage.docker {
        let before = || {
            command(docker, &["rmi", "-f", &name, IMAGE]).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
            Ok(())
        };
        let side = Side { name: "docker pull", words: pull_words(docker), before: Some(&before) };
        verdict("against docker", compare(&ours, &side, ROUNDS)?, 0.2, "");
    }
    processor(stage, &fresh, &name, &registry)?;
    forget()
}

/// Processor time against the bare pipe of five processes.
fn processor(stage: &Stage, fresh: &[String], name: &str, registry: &Registry) -> Result<()> {
    let digest = machine::output(&mut command(&stage.bulkhead, &["image", "inspect", "--format", "{{json .}}", name]))?;
    anyhow::ensure!(!digest.is_empty(), "no image");
    let manifest = format!("http://{}/v2/debian/manifests/bench", registry.address);
    let fetch_layer = format!(
        "layer=$(curl -sf -H 'Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json' {manifest} \
         | grep -o 'sha256:[0-9a-f]*' | tail -1); \
         curl -sfL http://{}/v2/debian/blobs/$layer | tee >(sha256sum >/dev/null) | gzip -dc | tee >(sha256sum >/dev/null) > {}",
        registry.address,
        stage.folder.join("pipe.tar").display()
    );
    let (mut pipe, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        pipe.push(processor_time(Command::new("bash").args(["-c", &fetch_layer]))?);
        machine::output(&mut command(fresh, &["system", "reset", "--force"]))?;
        let mut words = fresh.to_vec();
        words.extend(["pull".to_owned(), "-q".to_owned(), name.to_owned()]);
        ours.push(processor_time(&mut command(&words, &[]))?);
    }
    let (pipe, ours) = (median(&mut pipe), median(&mut ours));
    println!("   processor time: bulkhead pull {ours:.3} s, pipe of fetch, hash, inflate, hash, write {pipe:.3} s");
    verdict("processor time against the pipe", ours / pipe, 1.3, "");
    Ok(())
}
