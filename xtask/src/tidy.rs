//! Sizes and phrases that no compiler checks.

use std::path::Path;

use anyhow::{Result, bail};

use crate::floors::{read, sources};
use crate::machine;

/// Lines a file may have; a table may be long, logic may not, and the list of exceptions may only shrink.
const MOST_LINES: usize = 800;
/// Files that are one table.
const TABLES: &[&str] = &[];
/// Safety comments that say nothing.
const STOCK_PHRASES: &[&str] = &["parameters are valid", "library function", "this is safe", "trust me"];

pub fn run() -> Result<()> {
    let root = machine::root();
    let mut faults = Vec::new();
    for file in sources(&root.join("crates"))?.iter().chain(&sources(&root.join("xtask"))?) {
        look(&root, file, &mut faults)?;
    }
    if faults.is_empty() {
        return Ok(());
    }
    bail!("tidy:\n  {}", faults.join("\n  "))
}

fn look(root: &Path, file: &Path, faults: &mut Vec<String>) -> Result<()> {
    let name = file.strip_prefix(root).unwrap_or(file).display().to_string();
    let text = read(file)?;
    let lines = text.lines().count();
    if lines > MOST_LINES && !TABLES.contains(&name.as_str()) {
        faults.push(format!("{name}: {lines} lines, at most {MOST_LINES}"));
    }
    for (number, line) in text.lines().enumerate() {
        let at = number + 1;
        if [concat!("todo", "!("), concat!("unimplemented", "!(")].iter().any(|stub| line.contains(stub)) {
            faults.push(format!("{name}:{at}: a stub"));
        }
        let lower = line.to_ascii_lowercase();
        if lower.contains("safety:") && STOCK_PHRASES.iter().any(|phrase| lower.contains(phrase)) {
            faults.push(format!("{name}:{at}: a safety comment that names no invariant"));
        }
    }
    Ok(())
}
