//! Paired measurements against the floor program and the peers that are installed. What counts is the ratio of the
//! two sides of each pair, run in turn, because such machines are noisy; single times are printed for orientation.

mod floor;
mod many;
mod paired;
mod peers;
mod pull;
mod start;

use anyhow::{Result, bail};

use crate::machine;
use peers::Stage;

/// A named measurement.
type Measure = fn(&Stage) -> Result<()>;
const MEASURES: &[(&str, Measure)] = &[
    ("start", start::start),
    ("exec", start::exec),
    ("monitor", many::monitor),
    ("parallel", many::parallel),
    ("idle", many::idle),
    // Last, because podman and docker lose their image by it.
    ("pull", pull::pull),
];

/// Runs all of them, or those that are named.
pub fn run(names: &[String]) -> Result<()> {
    if !machine::is_root() {
        bail!("bench compares with docker and podman as root: call it as root");
    }
    for name in names {
        if !MEASURES.iter().any(|(known, _)| known == name) {
            let known: Vec<&str> = MEASURES.iter().map(|(known, _)| *known).collect();
            bail!("no measurement {name}: {}", known.join(", "));
        }
    }
    machine::need(&[("mmdebstrap", "mmdebstrap"), ("cc", "gcc"), ("docker-registry", "docker-registry")])?;
    let stage = Stage::set_up()?;
    let mut first = Ok(());
    for (name, measure) in MEASURES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("\n== {name}");
            let result = measure(&stage);
            if let Err(error) = &result {
                println!("   failed: {error:#}");
            }
            first = first.and(result);
        }
    }
    stage.tear_down()?;
    first
}
