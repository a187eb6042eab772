//! Two commands in turn, and the ratio pair by pair.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A command line and what to do untimed before each run.
pub struct Side<'a> {
    /// Shown.
    pub name: &'a str,
    /// Words.
    pub words: Vec<String>,
    /// Untimed, before each run.
    pub before: Option<&'a dyn Fn() -> Result<()>>,
}

impl<'a> Side<'a> {
    /// A side without preparation.
    pub fn new(name: &'a str, words: &[&str]) -> Self {
        Self { name, words: words.iter().map(|word| (*word).to_owned()).collect(), before: None }
    }

    /// One timed run of the whole process.
    pub fn time(&self) -> Result<Duration> {
        if let Some(before) = self.before {
            before()?;
        }
        let (program, args) = self.words.split_first().context("no words")?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let begin = Instant::now();
        let output = command.output().with_context(|| format!("cannot start {program}"))?;
        let time = begin.elapsed();
        if !output.status.success() {
            bail!("{}: {} {}", self.name, output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(time)
    }
}

/// The middle value.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs both sides `rounds` times in turn and prints medians and the median of the ratios; returns that ratio A/B.
pub fn compare(a: &Side<'_>, b: &Side<'_>, rounds: usize) -> Result<f64> {
    a.time()?;
    b.time()?;
    let (mut times_a, mut times_b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (one, other) = (a.time()?.as_secs_f64() * 1e3, b.time()?.as_secs_f64() * 1e3);
        times_a.push(one);
        times_b.push(other);
        ratios.push(one / other);
    }
    let ratio = median(&mut ratios);
    println!(
        "   {:<28} {:>9.2} ms | {:<28} {:>9.2} ms | ratio {:.3}  ({} pairs)",
        a.name,
        median(&mut times_a),
        b.name,
        median(&mut times_b),
        ratio,
        rounds
    );
    Ok(ratio)
}

/// Prints a figure beside what it is to be.
pub fn verdict(what: &str, figure: f64, limit: f64, unit: &str) {
    let word = if figure <= limit { "holds" } else { "MISSED" };
    println!("   => {what}: {figure:.3}{unit}, at most {limit:.3}{unit}: {word}");
}
