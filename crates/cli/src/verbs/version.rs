//! `version`

use serde_json::{Value, json};

use crate::console;
use crate::failure::Result;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::format;

/// Flags of `version`.
#[derive(clap::Args, Debug)]
pub struct Version {
    /// Format output: 'json' or a Go TEMPLATE
    #[arg(short = 'f', long)]
    format: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Version {
    const SPELLINGS: &'static [&'static str] = &["version"];
    const USAGE: &'static str = "[OPTIONS]";
    const ABOUT: &'static str = "Show the Bulkhead version information";
    const WORDS: Words = Words::exactly(0);

    fn run(self, session: &Session) -> Result<u8> {
        let engine = session.engine()?.version();
        let field = |name: &str| engine.get(name).cloned().unwrap_or_default();
        let client = json!({
            "Version": env!("CARGO_PKG_VERSION"),
            "ApiVersion": field("ApiVersion"),
            "Os": field("Os"),
            "Arch": field("Arch"),
        });
        // There is no daemon: client and server are the same program. Templates for Docker's `version` expect both.
        let view = json!({ "Client": client, "Server": engine });
        match self.format.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => console::out(&format::value(&view, Some(text))?)?,
            None => console::out(&human(&view))?,
        }
        Ok(0)
    }
}

fn human(view: &Value) -> String {
    let text = |pointer: &str| match view.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let rows = [
        ("Version:", text("/Server/Version")),
        ("API version:", text("/Server/ApiVersion")),
        ("Git commit:", text("/Server/GitCommit")),
        ("Kernel:", text("/Server/KernelVersion")),
        ("OS/Arch:", format!("{}/{}", text("/Server/Os"), text("/Server/Arch"))),
    ];
    let lines: String = rows
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!(" {name:<18}{value}\n"))
        .collect();
    format!("Bulkhead (no daemon: client and engine are one program)\n{lines}")
}
