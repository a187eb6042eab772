//! `info`

use serde_json::Value;

use crate::console;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::{format, units};

/// Flags of `info`.
#[derive(clap::Args, Debug)]
pub struct Info {
    /// Format output: 'json' or a Go TEMPLATE
    #[arg(short = 'f', long)]
    format: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Info {
    const SPELLINGS: &'static [&'static str] = &["info", "system info"];
    const USAGE: &'static str = "[OPTIONS]";
    const ABOUT: &'static str = "Display system-wide information";
    const WORDS: Words = Words::exactly(0);

    fn run(self, session: &Session) -> Result<u8> {
        let view = session.engine()?.info()?;
        match self.format.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => console::out(&format::value(&view, Some(text))?)?,
            None => console::out(&human(&view))?,
        }
        Ok(0)
    }
}

/// Fields of Docker's `/info` that people look for, in Docker's order and words.
const FIELDS: &[(&str, &str)] = &[
    ("Containers", "Containers"),
    (" Running", "ContainersRunning"),
    (" Paused", "ContainersPaused"),
    (" Stopped", "ContainersStopped"),
    ("Images", "Images"),
    ("Server Version", "ServerVersion"),
    ("Storage Driver", "Driver"),
    ("Logging Driver", "LoggingDriver"),
    ("Cgroup Driver", "CgroupDriver"),
    ("Cgroup Version", "CgroupVersion"),
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
    ("Total Memory", "MemTotal"),
    ("Name", "Name"),
    ("ID", "ID"),
    ("Root Dir", "DockerRootDir"),
];

fn human(view: &Value) -> String {
    let mut text = String::new();
    for (title, field) in FIELDS {
        let value = match (view.get(field), *field) {
            (None | Some(Value::Null), _) => continue,
            (Some(bytes), "MemTotal") => units::binary_size(bytes.as_u64().unwrap_or(0)),
            (Some(Value::String(value)), _) => value.clone(),
            (Some(value), _) => value.to_string(),
        };
        text.push_str(&format!("{title}: {value}\n"));
    }
    if let Some(options) = view.get("SecurityOptions").and_then(Value::as_array) {
        text.push_str("Security Options:\n");
        options.iter().filter_map(Value::as_str).for_each(|option| text.push_str(&format!(" {option}\n")));
    }
    if let Some(own) = view.get("Bulkhead").filter(|own| !own.is_null()) {
        text.push_str("Bulkhead:\n");
        tree(&mut text, own, 1);
    }
    for warning in view.get("Warnings").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        text.push_str(&format!("WARNING: {}\n", warning.trim_start_matches("WARNING: ")));
    }
    text
}

/// Any value as indented lines; deep ones end as JSON.
fn tree(text: &mut String, value: &Value, depth: usize) {
    let indent = " ".repeat(depth);
    match value {
        Value::Object(map) if depth < 8 => {
            for (key, value) in map {
                match value {
                    Value::Object(_) | Value::Array(_) => {
                        text.push_str(&format!("{indent}{key}:\n"));
                        tree(text, value, depth + 1);
                    }
                    Value::String(value) => text.push_str(&format!("{indent}{key}: {value}\n")),
                    value => text.push_str(&format!("{indent}{key}: {value}\n")),
                }
            }
        }
        Value::Array(items) if depth < 8 => items.iter().for_each(|item| tree(text, item, depth)),
        Value::String(value) => text.push_str(&format!("{indent}{value}\n")),
        value => text.push_str(&format!("{indent}{value}\n")),
    }
}
