//! `system df`

use bulkhead_engine::view::DiskUsage;
use bulkhead_engine::{Engine, Filters};

use crate::console;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::format::{Column, column};
use crate::show::units::size;
use crate::show::{Format, Row};
use crate::verbs::{image, ps};

/// Flags of `system df`.
#[derive(clap::Args, Debug)]
pub struct Df {
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long)]
    format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short = 'v', long)]
    verbose: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

const COLUMNS: &[Column] = &[
    column("Type", "TYPE"),
    column("TotalCount", "TOTAL"),
    column("Active", "ACTIVE"),
    column("Size", "SIZE"),
    column("Reclaimable", "RECLAIMABLE"),
];
const DEFAULT: &str = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

impl Verb for Df {
    const SPELLINGS: &'static [&'static str] = &["system df"];
    const USAGE: &'static str = "[OPTIONS]";
    const ABOUT: &'static str = "Show disk usage";
    const WORDS: Words = Words::exactly(0);

    fn run(self, session: &Session) -> Result<u8> {
        let format = Format::parse(self.format.as_deref(), DEFAULT)?;
        let engine = session.engine()?;
        if self.verbose {
            console::out(&details(engine)?)?;
            return Ok(0);
        }
        let rows: Vec<Row> = engine.disk_usage()?.iter().map(row).collect();
        format.print(COLUMNS, &rows)?;
        Ok(0)
    }
}

fn row(usage: &DiskUsage) -> Row {
    let share = if usage.size > 0 {
        format!(" ({}%)", u128::from(usage.reclaimable) * 100 / u128::from(usage.size))
    } else {
        String::new()
    };
    Row::new([
        ("Type", usage.kind.clone()),
        ("TotalCount", usage.total_count.to_string()),
        ("Active", usage.active.to_string()),
        ("Size", size(usage.size)),
        ("Reclaimable", size(usage.reclaimable) + &share),
    ])
}

fn details(engine: &Engine) -> Result<String> {
    let images: Vec<Row> =
        engine.images(true, &Filters::new())?.iter().map(|summary| image::ls::row(summary, true)).collect();
    let containers: Vec<Row> =
        engine.list(true, None, true, &Filters::new())?.iter().map(|summary| ps::row(summary, true)).collect();
    let volumes: String = engine.volumes(&Filters::new())?.iter().map(|volume| format!("{}\n", volume.name)).collect();
    let images =
        Format::parse(None, "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.Containers}}")?
            .render(image::ls::COLUMNS, &images)?;
    let containers = Format::parse(
        None,
        "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
    )?
    .render(ps::COLUMNS, &containers)?;
    Ok(format!(
        "Images space usage:\n\n{images}\nContainers space usage:\n\n{containers}\nLocal Volumes space usage:\n\nVOLUME NAME\n{volumes}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let usage =
            DiskUsage { kind: "Images".into(), total_count: 2, active: 1, size: 200_000_000, reclaimable: 50_000_000 };
        let shown = Format::parse(None, DEFAULT).unwrap().render(COLUMNS, &[row(&usage)]).unwrap();
        assert_eq!(
            shown,
            "TYPE      TOTAL     ACTIVE    SIZE      RECLAIMABLE\nImages    2         1         200MB     50MB (25%)\n"
        );
    }
}
