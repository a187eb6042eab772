//! `plan`: the complete isolation plan of a container that is not made.

use serde_json::Value;

use super::create_flags::CreateFlags;
use crate::console;
use crate::failure::{Failure, NOT_STARTED, Result};
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::show::format;
use crate::show::progress::{Target, teller};

/// Flags of `plan`.
#[derive(clap::Args, Debug)]
pub struct Plan {
    #[command(flatten)]
    flags: CreateFlags,
    /// Run flag, accepted so that a `run` line can be asked about as it stands
    #[arg(short = 'd', long)]
    detach: bool,
    /// Format output: 'json' or a Go TEMPLATE
    #[arg(long)]
    format: Option<String>,
    /// Show the differences between two levels: --diff standard,hardened
    #[arg(long)]
    diff: Option<String>,
}

impl Verb for Plan {
    const SPELLINGS: &'static [&'static str] = &["plan"];
    const USAGE: &'static str = "[OPTIONS] IMAGE [COMMAND] [ARG...]";
    const ABOUT: &'static str = "Print the complete isolation plan of a container without making it";
    const WORDS: Words = Words::at_least(1);
    const OPTIONS_FIRST: bool = true;

    fn run(self, session: &Session) -> Result<u8> {
        let quiet = self.flags.life.quiet;
        let mut flags = self.flags;
        let levels = match self.diff.as_deref() {
            None => None,
            // `--diff standard hardened IMAGE`: the second level is the first word then.
            Some(first) => Some(match first.split_once(',') {
                Some((first, second)) => (first.to_owned(), second.to_owned()),
                None if flags.words.len() > 1 => (first.to_owned(), flags.words.remove(0)),
                None => {
                    return Err(Failure::new("--diff needs two levels and an image: --diff standard hardened IMAGE"));
                }
            }),
        };
        let mut request = flags.request(self.detach)?;
        let engine = session.engine()?;
        let progress = teller(quiet, Target::Stderr);
        let mut plan_at = |level: Option<String>| -> Result<bulkhead_engine::IsolationPlan> {
            request.isolation = level.or_else(|| request.isolation.take());
            engine.plan(&request, &*progress).map_err(|error| Failure::from(error).or_code(NOT_STARTED))
        };
        if let Some((first, second)) = levels {
            let before = serde_json::to_value(plan_at(Some(first.clone()))?)?;
            let after = serde_json::to_value(plan_at(Some(second.clone()))?)?;
            let mut text = format!("--- {first}\n+++ {second}\n");
            differences(&mut text, "", &before, &after);
            console::out(&text)?;
            return Ok(0);
        }
        let plan = plan_at(None)?;
        match self.format.as_deref().filter(|text| !text.is_empty()) {
            Some("json") => console::out(&format::indented(&serde_json::to_value(&plan)?)?)?,
            Some(text) => console::out(&format::value(&serde_json::to_value(&plan)?, Some(text))?)?,
            None => console::out(&bulkhead_engine::explain(&plan))?,
        }
        Ok(0)
    }
}

/// One line for each value that is on one side only or differs.
fn differences(text: &mut String, path: &str, before: &Value, after: &Value) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let inside = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                differences(text, &inside, old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null));
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for gone in old.iter().filter(|item| !new.contains(item)) {
                text.push_str(&format!("- {path}: {gone}\n"));
            }
            for added in new.iter().filter(|item| !old.contains(item)) {
                text.push_str(&format!("+ {path}: {added}\n"));
            }
        }
        (old, new) if old == new => {}
        (old, new) => text.push_str(&format!("- {path}: {old}\n+ {path}: {new}\n")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_paths() {
        let mut text = String::new();
        let before = json!({"a": 1, "b": {"c": [1, 2]}, "same": true});
        differences(&mut text, "", &before, &json!({"a": 2, "b": {"c": [2, 3]}, "same": true}));
        assert_eq!(text, "- a: 1\n+ a: 2\n- b.c: 1\n+ b.c: 3\n");
    }
}
