//! `ps`

use bulkhead_engine::view::ContainerSummary;

use crate::console;
use crate::failure::Result;
use crate::filters;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::format::{Column, column};
use crate::show::units::{ago, ellipsis, short_id, size, timestamp};
use crate::show::{Format, Row};

/// Flags of `ps`.
#[derive(clap::Args, Debug)]
pub struct Ps {
    /// Show all containers (default shows just running)
    #[arg(short = 'a', long)]
    all: bool,
    /// Filter output based on conditions provided
    #[arg(short = 'f', long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long)]
    format: Option<String>,
    /// Show n last created containers (includes all states) (default -1)
    #[arg(short = 'n', long, value_name = "int")]
    last: Option<i64>,
    /// Show the latest created container (includes all states)
    #[arg(short = 'l', long)]
    latest: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Display total file sizes
    #[arg(short = 's', long)]
    size: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

/// Titles of the columns.
pub const COLUMNS: &[Column] = &[
    column("ID", "CONTAINER ID"),
    column("Image", "IMAGE"),
    column("Command", "COMMAND"),
    column("CreatedAt", "CREATED AT"),
    column("RunningFor", "CREATED"),
    column("Ports", "PORTS"),
    column("State", "STATE"),
    column("Status", "STATUS"),
    column("Size", "SIZE"),
    column("Names", "NAMES"),
    column("Labels", "LABELS"),
    column("Mounts", "MOUNTS"),
    column("LocalVolumes", "LOCAL VOLUMES"),
    column("Networks", "NETWORKS"),
    column("Platform", "PLATFORM"),
    column("Isolation", "ISOLATION"),
];

const DEFAULT: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

impl Verb for Ps {
    const SPELLINGS: &'static [&'static str] = &["ps", "container ls", "container list", "container ps"];
    const USAGE: &'static str = "[OPTIONS]";
    const ABOUT: &'static str = "List containers";
    const WORDS: Words = Words::exactly(0);

    fn run(self, session: &Session) -> Result<u8> {
        let default = if self.size { format!("{DEFAULT}\t{{{{.Size}}}}") } else { DEFAULT.to_owned() };
        let format = Format::parse(self.format.as_deref(), &default)?;
        let filters = filters::parse(&self.filter)?;
        let last = if self.latest { Some(1) } else { self.last.and_then(|last| usize::try_from(last).ok()) };
        let last = last.filter(|last| *last > 0);
        let wants_size = self.size || self.format.as_deref().is_some_and(|format| format.contains(".Size"));
        // Docker: asking for a state means asking beyond those that run.
        let all = self.all || last.is_some() || filters.contains_key("status");
        let list = session.engine()?.list(all, last, wants_size, &filters)?;
        if self.quiet && self.format.is_none() {
            let id =
                |summary: &ContainerSummary| if self.no_trunc { summary.id.clone() } else { short_id(&summary.id) };
            let ids: String = list.iter().map(|summary| id(summary) + "\n").collect();
            console::out(&ids)?;
            return Ok(0);
        }
        let rows: Vec<Row> = list.iter().map(|summary| row(summary, !self.no_trunc)).collect();
        format.print(COLUMNS, &rows)?;
        Ok(0)
    }
}

/// The fields that templates see.
pub fn row(summary: &ContainerSummary, cut: bool) -> Row {
    let names: Vec<&str> = summary.names.iter().map(|name| name.trim_start_matches('/')).collect();
    let command = if cut { ellipsis(&summary.command, 20) } else { summary.command.clone() };
    let mounts: Vec<String> =
        summary.mounts.iter().map(|mount| if cut { ellipsis(mount, 15) } else { mount.clone() }).collect();
    let volumes = summary.mounts.iter().filter(|mount| !mount.starts_with('/')).count();
    let sizes = summary.size_rw.map_or_else(
        || "0B".to_owned(),
        |own| {
            let whole = summary.size_root_fs.map(|whole| format!(" (virtual {})", size(whole)));
            size(own) + &whole.unwrap_or_default()
        },
    );
    Row::new([
        ("ID", if cut { short_id(&summary.id) } else { summary.id.clone() }),
        ("Image", if summary.image.is_empty() { "<no image>".into() } else { summary.image.clone() }),
        ("ImageID", summary.image_id.clone()),
        ("Command", format!("{command:?}")),
        ("CreatedAt", timestamp(summary.created)),
        ("RunningFor", ago(summary.created)),
        ("Ports", summary.ports.clone()),
        ("State", summary.state.clone()),
        ("Status", summary.status.clone()),
        ("Size", sizes),
        ("Names", names.join(",")),
        ("Mounts", mounts.join(",")),
        ("LocalVolumes", volumes.to_string()),
        ("Networks", summary.networks.join(",")),
        ("Platform", bulkhead_types::Platform::host().to_string()),
        ("Isolation", summary.isolation.clone()),
    ])
    .with_labels(&summary.labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let summary = ContainerSummary {
            id: "0123456789abcdef".into(),
            names: vec!["/web".into()],
            image: "debian:bookworm".into(),
            command: "sleep a-very-long-argument".into(),
            created: crate::show::units::now() - 300,
            state: "running".into(),
            status: "Up 5 minutes".into(),
            ..ContainerSummary::default()
        };
        let shown = Format::parse(None, DEFAULT).unwrap().render(COLUMNS, &[row(&summary, true)]).unwrap();
        assert_eq!(
            shown,
            "CONTAINER ID   IMAGE             COMMAND                  CREATED         STATUS         PORTS     NAMES\n\
             0123456789ab   debian:bookworm   \"sleep a-very-long-a…\"   5 minutes ago   Up 5 minutes             web\n"
        );
    }
}
