//! `stats`

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bulkhead_engine::view::StatsSample;
use bulkhead_engine::{Engine, Filters};
use bulkhead_types::ErrorClass;

use crate::console;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::format::{Column, column};
use crate::show::units::{binary_size, short_id, size};
use crate::show::{Format, Row};

/// Between two samples of a stream.
const PERIOD: Duration = Duration::from_secs(1);
/// Between the two samples that make one percentage with `--no-stream`.
const SHORT_PERIOD: Duration = Duration::from_millis(250);
/// Cursor home, and clear what is below.
const HOME: &[u8] = b"\x1b[H\x1b[J";

/// Flags of `stats`.
#[derive(clap::Args, Debug)]
pub struct Stats {
    /// Show all containers (default shows just running)
    #[arg(short = 'a', long)]
    all: bool,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long)]
    format: Option<String>,
    /// Disable streaming stats and only pull the first result
    #[arg(long)]
    no_stream: bool,
    /// Do not truncate output
    #[arg(long)]
    no_trunc: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

const COLUMNS: &[Column] = &[
    column("Container", "CONTAINER"),
    column("ID", "CONTAINER ID"),
    column("Name", "NAME"),
    column("CPUPerc", "CPU %"),
    column("MemUsage", "MEM USAGE / LIMIT"),
    column("MemPerc", "MEM %"),
    column("NetIO", "NET I/O"),
    column("BlockIO", "BLOCK I/O"),
    column("PIDs", "PIDS"),
];

const DEFAULT: &str =
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

impl Verb for Stats {
    const SPELLINGS: &'static [&'static str] = &["stats", "container stats"];
    const USAGE: &'static str = "[OPTIONS] [CONTAINER...]";
    const ABOUT: &'static str = "Display a live stream of container(s) resource usage statistics";
    const WORDS: Words = Words::at_least(0);

    fn run(self, session: &Session) -> Result<u8> {
        let format = Format::parse(self.format.as_deref(), DEFAULT)?;
        let engine = session.engine()?;
        let mut before = self.sample(engine)?;
        if self.no_stream {
            std::thread::sleep(SHORT_PERIOD);
            format.print(COLUMNS, &self.rows(&before, &self.sample(engine)?))?;
            return Ok(0);
        }
        let screen = matches!(format, Format::Table(_)) && console::stdout_is_terminal();
        let mut due = Instant::now() + SHORT_PERIOD;
        loop {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due = Instant::now() + PERIOD;
            let now = self.sample(engine)?;
            let text = format.render(COLUMNS, &self.rows(&before, &now))?;
            if screen {
                console::out_bytes(HOME)?;
            }
            console::out(&text)?;
            before = now;
        }
    }
}

impl Stats {
    /// The named containers, or those that run now; one that ends meanwhile is no error unless it was named.
    fn sample(&self, engine: &Engine) -> Result<Vec<(String, StatsSample)>> {
        if !self.words.is_empty() {
            return self.words.iter().map(|name| Ok((name.clone(), engine.stats(name)?))).collect();
        }
        let mut samples = Vec::new();
        for summary in engine.list(self.all, None, false, &Filters::new())? {
            match engine.stats(&summary.id) {
                Ok(sample) => samples.push((short_id(&summary.id), sample)),
                Err(error) if matches!(error.class, ErrorClass::NotFound | ErrorClass::Conflict) => {
                    let name = summary.names.first().cloned().unwrap_or_default();
                    let sample = StatsSample { id: summary.id.clone(), name, ..StatsSample::default() };
                    samples.extend(self.all.then(|| (short_id(&summary.id), sample)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(samples)
    }

    fn rows(&self, before: &[(String, StatsSample)], now: &[(String, StatsSample)]) -> Vec<Row> {
        let earlier: BTreeMap<&str, &StatsSample> =
            before.iter().map(|(_, sample)| (sample.id.as_str(), sample)).collect();
        now.iter()
            .map(|(name, sample)| row(name, earlier.get(sample.id.as_str()).copied(), sample, !self.no_trunc))
            .collect()
    }
}

fn row(container: &str, before: Option<&StatsSample>, now: &StatsSample, cut: bool) -> Row {
    let counters = &now.counters;
    let limit = counters.memory_limit.min(now.host_memory);
    let share = if limit == 0 { 0.0 } else { counters.memory_usage as f64 / limit as f64 * 100.0 };
    Row::new([
        ("Container", container.to_owned()),
        ("ID", if cut { short_id(&now.id) } else { now.id.clone() }),
        ("Name", now.name.trim_start_matches('/').to_owned()),
        ("CPUPerc", format!("{:.2}%", processor_percent(before, now))),
        ("MemUsage", format!("{} / {}", binary_size(counters.memory_usage), binary_size(limit))),
        ("MemPerc", format!("{share:.2}%")),
        ("NetIO", format!("{} / {}", size(counters.net_rx), size(counters.net_tx))),
        ("BlockIO", format!("{} / {}", size(counters.block_read), size(counters.block_write))),
        ("PIDs", counters.pids.to_string()),
    ])
}

/// 100 is one processor.
fn processor_percent(before: Option<&StatsSample>, now: &StatsSample) -> f64 {
    let Some(before) = before else { return 0.0 };
    let used = now.counters.cpu_total.saturating_sub(before.counters.cpu_total) as f64;
    let passed = now.read_at.saturating_sub(before.read_at) as f64;
    if passed <= 0.0 { 0.0 } else { used / passed * 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let mut before = StatsSample {
            id: "0123456789abcdef".into(),
            name: "web".into(),
            host_memory: 8 << 30,
            ..StatsSample::default()
        };
        before.counters.memory_limit = u64::MAX;
        let mut now = before.clone();
        now.read_at = 1_000_000_000;
        now.counters.cpu_total = 500_000_000;
        now.counters.memory_usage = 1 << 30;
        now.counters.pids = 3;
        now.counters.block_write = 1_230_000;
        let rows = [row("web", Some(&before), &now, true)];
        let shown = Format::parse(None, DEFAULT).unwrap().render(COLUMNS, &rows).unwrap();
        assert_eq!(
            shown,
            "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O   BLOCK I/O     PIDS\n\
             0123456789ab   web       50.00%    1GiB / 8GiB         12.50%    0B / 0B   0B / 1.23MB   3\n"
        );
    }
}
