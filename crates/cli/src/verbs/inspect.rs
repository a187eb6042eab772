//! `inspect`: containers, images and volumes by name.

use bulkhead_engine::Engine;
use bulkhead_types::ErrorClass;
use serde_json::Value;

use crate::console;
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::format;

/// Flags of `inspect`.
#[derive(clap::Args, Debug)]
pub struct Inspect {
    /// Format output: 'json' or a Go TEMPLATE
    #[arg(short = 'f', long)]
    format: Option<String>,
    /// Display total file sizes if the type is container
    #[arg(short = 's', long)]
    size: bool,
    /// Only inspect objects of the given type (container, image, volume)
    #[arg(long = "type", value_name = "string")]
    kind: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Inspect {
    const SPELLINGS: &'static [&'static str] = &["inspect"];
    const USAGE: &'static str = "[OPTIONS] NAME|ID [NAME|ID...]";
    const ABOUT: &'static str = "Return low-level information on Bulkhead objects";
    const WORDS: Words = Words::at_least(1);

    fn run(self, session: &Session) -> Result<u8> {
        let kinds: &[Kind] = match self.kind.as_deref() {
            None | Some("") => &[Kind::Container, Kind::Image, Kind::Volume],
            Some("container") => &[Kind::Container],
            Some("image") => &[Kind::Image],
            Some("volume") => &[Kind::Volume],
            Some(other) => {
                return Err(Failure::new(format!(
                    "{other:?} is not a valid value for --type: use container, image or volume"
                )));
            }
        };
        let engine = session.engine()?;
        print(&self.words, self.format.as_deref(), |name| find(engine, kinds, name, self.size))
    }
}

/// What can be inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Container,
    Image,
    Volume,
}

fn find(engine: &Engine, kinds: &[Kind], name: &str, size: bool) -> Result<Value> {
    for kind in kinds {
        let view = match kind {
            Kind::Container => engine.inspect(name, size),
            Kind::Image => engine.image_inspect(name),
            Kind::Volume => engine.volume_inspect(name),
        };
        match view {
            // A name that is no name of this kind may be one of the next.
            Err(error) if matches!(error.class, ErrorClass::NotFound | ErrorClass::Invalid) && kinds.len() > 1 => {}
            other => return Ok(other?),
        }
    }
    Err(Failure::new(format!("No such object: {name}")))
}

/// Prints what was found, then what was not: with a template one line each, otherwise one JSON array.
pub fn print(names: &[String], template: Option<&str>, find: impl Fn(&str) -> Result<Value>) -> Result<u8> {
    let template = template.filter(|template| !template.is_empty());
    if let Some(text) = template.filter(|text| *text != "json") {
        crate::template::Template::parse(text)?;
    }
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for name in names {
        match find(name) {
            Ok(view) => found.push(view),
            Err(failure) => failures.push(failure),
        }
    }
    match template {
        None => console::out(&format::indented(&Value::Array(found))?)?,
        Some("json") => console::line(&serde_json::to_string(&found)?)?,
        Some(_) => {
            for view in &found {
                console::out(&format::value(view, template)?)?;
            }
        }
    }
    for failure in &failures {
        console::complain(&failure.message);
    }
    Ok(u8::from(!failures.is_empty()))
}
