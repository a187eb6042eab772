//! `volume ls`

use crate::console;
use crate::failure::Result;
use crate::filters;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::format::{Column, column};
use crate::show::{Format, Row};
use crate::verbs::refuse;

/// Flags of `volume ls`.
#[derive(clap::Args, Debug)]
pub struct Ls {
    #[arg(long, hide = true)]
    cluster: bool,
    /// Provide filter values (e.g. "dangling=true")
    #[arg(short = 'f', long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long)]
    format: Option<String>,
    /// Only display volume names
    #[arg(short = 'q', long)]
    quiet: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

const COLUMNS: &[Column] = &[
    column("Driver", "DRIVER"),
    column("Name", "VOLUME NAME"),
    column("Scope", "SCOPE"),
    column("Labels", "LABELS"),
    column("Mountpoint", "MOUNTPOINT"),
    column("CreatedAt", "CREATED AT"),
];

impl Verb for Ls {
    const SPELLINGS: &'static [&'static str] = &["volume ls", "volume list"];
    const USAGE: &'static str = "[OPTIONS]";
    const ABOUT: &'static str = "List volumes";
    const WORDS: Words = Words::exactly(0);

    fn run(self, session: &Session) -> Result<u8> {
        refuse("--cluster", self.cluster, "there are no cluster volumes: leave it out")?;
        let format = Format::parse(self.format.as_deref(), "{{.Driver}}\t{{.Name}}")?;
        let volumes = session.engine()?.volumes(&filters::parse(&self.filter)?)?;
        if self.quiet && self.format.is_none() {
            let names: String = volumes.iter().map(|volume| format!("{}\n", volume.name)).collect();
            console::out(&names)?;
            return Ok(0);
        }
        let rows: Vec<Row> = volumes
            .iter()
            .map(|volume| {
                Row::new([
                    ("Driver", "local".into()),
                    ("Name", volume.name.clone()),
                    ("Scope", "local".into()),
                    ("Mountpoint", String::new()),
                    ("CreatedAt", volume.created_at.clone()),
                ])
                .with_labels(&volume.labels)
            })
            .collect();
        format.print(COLUMNS, &rows)?;
        Ok(0)
    }
}
