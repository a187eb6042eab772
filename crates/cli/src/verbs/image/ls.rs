//! `images`, `image ls`

use bulkhead_engine::view::ImageSummary;

use crate::console;
use crate::failure::Result;
use crate::filters;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::format::{Column, column};
use crate::show::units::{ago, short_id, size, timestamp};
use crate::show::{Format, Row};

/// Flags of `image ls`.
#[derive(clap::Args, Debug)]
pub struct Ls {
    /// Show all images (default hides intermediate images)
    #[arg(short = 'a', long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Filter output based on conditions provided
    #[arg(short = 'f', long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long)]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short = 'q', long)]
    quiet: bool,
    #[arg(long, hide = true)]
    tree: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

/// Titles of the columns.
pub const COLUMNS: &[Column] = &[
    column("ID", "IMAGE ID"),
    column("Repository", "REPOSITORY"),
    column("Tag", "TAG"),
    column("Digest", "DIGEST"),
    column("CreatedSince", "CREATED"),
    column("CreatedAt", "CREATED AT"),
    column("Size", "SIZE"),
    column("VirtualSize", "SIZE"),
    column("UniqueSize", "UNIQUE SIZE"),
    column("SharedSize", "SHARED SIZE"),
    column("Containers", "CONTAINERS"),
];

const DEFAULT: &str = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const WITH_DIGESTS: &str = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

impl Verb for Ls {
    const SPELLINGS: &'static [&'static str] = &["images", "image ls", "image list"];
    const USAGE: &'static str = "[OPTIONS] [REPOSITORY[:TAG]]";
    const ABOUT: &'static str = "List images";
    const WORDS: Words = Words::between(0, 1);

    fn run(self, session: &Session) -> Result<u8> {
        crate::verbs::refuse("--tree", self.tree, "an image here is of one platform: leave it out")?;
        let format = Format::parse(self.format.as_deref(), if self.digests { WITH_DIGESTS } else { DEFAULT })?;
        let mut filters = filters::parse(&self.filter)?;
        if let Some(reference) = self.words.first() {
            filters.entry("reference".into()).or_default().push(reference.clone());
        }
        let list = session.engine()?.images(self.all, &filters)?;
        if self.quiet && self.format.is_none() {
            // One id a line, an image with several names once.
            let mut seen = std::collections::BTreeSet::new();
            let ids: String = list
                .iter()
                .filter(|summary| seen.insert(&summary.id))
                .map(|summary| if self.no_trunc { format!("{}\n", summary.id) } else { short_id(&summary.id) + "\n" })
                .collect();
            console::out(&ids)?;
            return Ok(0);
        }
        let rows: Vec<Row> = list.iter().map(|summary| row(summary, !self.no_trunc)).collect();
        format.print(COLUMNS, &rows)?;
        Ok(0)
    }
}

/// The fields that templates see.
pub fn row(summary: &ImageSummary, cut: bool) -> Row {
    let none = |text: &str| if text.is_empty() { "<none>".to_owned() } else { text.to_owned() };
    Row::new([
        ("ID", if cut { short_id(&summary.id) } else { summary.id.clone() }),
        ("Repository", none(&summary.repository)),
        ("Tag", none(&summary.tag)),
        ("Digest", none(&summary.digest)),
        ("CreatedSince", ago(summary.created)),
        ("CreatedAt", timestamp(summary.created)),
        ("Size", size(summary.size)),
        ("VirtualSize", size(summary.size)),
        ("UniqueSize", "N/A".into()),
        ("SharedSize", "N/A".into()),
        ("Containers", summary.containers.to_string()),
    ])
    .with_labels(&summary.labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let summary = ImageSummary {
            id: format!("sha256:{}", "ab".repeat(32)),
            repository: "debian".into(),
            tag: "bookworm".into(),
            created: crate::show::units::now() - 3 * 7 * 86400,
            size: 124_000_000,
            ..ImageSummary::default()
        };
        let shown = Format::parse(None, DEFAULT).unwrap().render(COLUMNS, &[row(&summary, true)]).unwrap();
        assert_eq!(
            shown,
            "REPOSITORY   TAG        IMAGE ID       CREATED       SIZE\n\
             debian       bookworm   abababababab   3 weeks ago   124MB\n"
        );
    }
}
