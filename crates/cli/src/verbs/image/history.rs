//! `history`

use clap::ArgAction;

use crate::console;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::format::{Column, column};
use crate::show::units::{ago, ellipsis, rfc3339, short_id, size};
use crate::show::{Format, Row};
use crate::verbs::{first, refuse};

/// Flags of `history`.
#[derive(clap::Args, Debug)]
pub struct History {
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long)]
    format: Option<String>,
    /// Print sizes and dates in human readable format (default true)
    #[arg(short = 'H', long, action = ArgAction::SetFalse)]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    #[arg(long, hide = true)]
    platform: Option<String>,
    /// Only show image IDs
    #[arg(short = 'q', long)]
    quiet: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

const COLUMNS: &[Column] = &[
    column("ID", "IMAGE"),
    column("CreatedSince", "CREATED"),
    column("CreatedAt", "CREATED AT"),
    column("CreatedBy", "CREATED BY"),
    column("Size", "SIZE"),
    column("Comment", "COMMENT"),
];

const DEFAULT: &str = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const EXACT: &str = "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

impl Verb for History {
    const SPELLINGS: &'static [&'static str] = &["history", "image history"];
    const USAGE: &'static str = "[OPTIONS] IMAGE";
    const ABOUT: &'static str = "Show the history of an image";
    const WORDS: Words = Words::exactly(1);

    fn run(self, session: &Session) -> Result<u8> {
        refuse("--platform", self.platform.is_some(), "an image here is of one platform: leave it out")?;
        let format = Format::parse(self.format.as_deref(), if self.human { DEFAULT } else { EXACT })?;
        let lines = session.engine()?.history(first(&self.words))?;
        let id = |id: &str| match id {
            "" => "<missing>".to_owned(),
            id if self.no_trunc => id.to_owned(),
            id => short_id(id),
        };
        if self.quiet && self.format.is_none() {
            let ids: String = lines.iter().map(|line| id(&line.id) + "\n").collect();
            console::out(&ids)?;
            return Ok(0);
        }
        let rows: Vec<Row> = lines
            .iter()
            .map(|line| {
                let by = line.created_by.replace('\t', " ");
                Row::new([
                    ("ID", id(&line.id)),
                    ("CreatedSince", ago(line.created)),
                    ("CreatedAt", rfc3339(line.created)),
                    ("CreatedBy", if self.no_trunc { by } else { ellipsis(&by, 45) }),
                    ("Size", if self.human { size(line.size) } else { line.size.to_string() }),
                    ("Comment", line.comment.clone()),
                ])
            })
            .collect();
        format.print(COLUMNS, &rows)?;
        Ok(0)
    }
}
