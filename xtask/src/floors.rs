//! The shape of the house: arrows between rooms against the stored table, circles between the modules of a room, and
//! unsafe code outside `sys` and `probe`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::machine;

/// Rooms where unsafe code may be, and the folder of each that holds it.
const UNSAFE_ROOMS: &[(&str, &str)] = &[("sys", "src/raw"), ("probe", "src")];

type Graph = BTreeMap<String, BTreeSet<String>>;

pub fn run() -> Result<()> {
    let root = machine::root();
    let mut faults = arrows(&root)?;
    for room in rooms(&root)? {
        faults.extend(circles(&root, &room)?);
        faults.extend(unsafe_code(&root, &room)?);
    }
    if faults.is_empty() {
        return Ok(());
    }
    bail!("floors:\n  {}", faults.join("\n  "))
}

/// All Rust files below a folder.
pub fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A file's text.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn rooms(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The manifests' arrows against the table; a difference in either direction is a fault.
fn arrows(root: &Path) -> Result<Vec<String>> {
    let table = stored(&read(&root.join("xtask/floors.txt"))?)?;
    let drawn = manifests(root)?;
    let mut faults = Vec::new();
    for (room, imports) in &drawn {
        let Some(allowed) = table.get(room) else {
            faults.push(format!("room {room} is not in xtask/floors.txt"));
            continue;
        };
        for arrow in imports.difference(allowed) {
            faults.push(format!("arrow {room} -> {arrow} is not in xtask/floors.txt"));
        }
        for arrow in allowed.difference(imports) {
            faults.push(format!("arrow {room} -> {arrow} stands in xtask/floors.txt but is not used"));
        }
    }
    faults.extend(table.keys().filter(|room| !drawn.contains_key(*room)).map(|room| format!("no room {room}")));
    Ok(faults)
}

fn stored(text: &str) -> Result<Graph> {
    let mut graph = Graph::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (room, imports) = line.split_once(':').with_context(|| format!("floors.txt: {line}"))?;
        graph.insert(room.to_owned(), imports.split_whitespace().map(str::to_owned).collect());
    }
    Ok(graph)
}

fn manifests(root: &Path) -> Result<Graph> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).args(["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let metadata: serde_json::Value = serde_json::from_str(&machine::output(&mut cargo)?)?;
    let mut graph = Graph::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let Some(room) = package["name"].as_str().and_then(|name| name.strip_prefix("bulkhead-")) else { continue };
        if room == "tests" {
            continue;
        }
        let imports = package["dependencies"].as_array().into_iter().flatten();
        let imports = imports.filter(|dependency| dependency["kind"].is_null());
        let imports = imports.filter_map(|dependency| dependency["name"].as_str()?.strip_prefix("bulkhead-"));
        graph.insert(room.to_owned(), imports.map(str::to_owned).collect());
    }
    Ok(graph)
}

/// Circles among the top-level modules of a room. The crate root only names its modules, so it is no part of any.
fn circles(root: &Path, room: &str) -> Result<Vec<String>> {
    let src = root.join("crates").join(room).join("src");
    let mut graph = Graph::new();
    let files = sources(&src)?;
    let modules: BTreeSet<String> = files.iter().filter_map(|file| module_of(&src, file)).collect();
    let exported = exports(&src, &modules)?;
    for file in &files {
        let Some(module) = module_of(&src, file) else { continue };
        let text = read(file)?;
        let targets = references(&production(&text), &modules, &exported);
        let entry = graph.entry(module.clone()).or_default();
        entry.extend(targets.into_iter().filter(|target| *target != module));
    }
    Ok(knots(&graph).into_iter().map(|knot| format!("{room}: modules in a circle: {}", knot.join(" -> "))).collect())
}

fn module_of(src: &Path, file: &Path) -> Option<String> {
    let relative = file.strip_prefix(src).ok()?;
    let first = relative.components().next()?.as_os_str().to_string_lossy().into_owned();
    let name = first.strip_suffix(".rs").unwrap_or(&first).to_owned();
    (!matches!(name.as_str(), "lib" | "main")).then_some(name)
}

/// Names that the crate root re-exports, with the module they come from.
fn exports(src: &Path, modules: &BTreeSet<String>) -> Result<BTreeMap<String, String>> {
    let mut map = BTreeMap::new();
    let lib = src.join("lib.rs");
    if !lib.exists() {
        return Ok(map);
    }
    for statement in read(&lib)?.split(';') {
        let Some((_, path)) = statement.rsplit_once("pub use ") else { continue };
        let Some((module, names)) = path.trim().split_once("::") else { continue };
        if !modules.contains(module) {
            continue;
        }
        for name in names.trim_matches(|c| c == '{' || c == '}').split(',') {
            let name = name.rsplit("::").next().unwrap_or(name).trim();
            map.insert(name.to_owned(), module.to_owned());
        }
    }
    Ok(map)
}

/// The text without comments and without what follows `#[cfg(test)]` (tests may look anywhere).
fn production(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or("");
    code.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

fn references(code: &str, modules: &BTreeSet<String>, exported: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or("").split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let name: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if modules.contains(&name) {
                found.insert(name);
            } else if let Some(module) = exported.get(&name) {
                found.insert(module.clone());
            }
        }
    }
    found
}

/// One circle per module that can reach itself, each named once.
fn knots(graph: &Graph) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for start in graph.keys() {
        if found.iter().any(|knot| knot.contains(start)) {
            continue;
        }
        if let Some(path) = back_to(graph, start) {
            found.push(path);
        }
    }
    found
}

fn back_to(graph: &Graph, start: &str) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut left = vec![vec![start.to_owned()]];
    while let Some(path) = left.pop() {
        for next in path.last().and_then(|last| graph.get(last)).into_iter().flatten() {
            let mut longer = path.clone();
            longer.push(next.clone());
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                left.push(longer);
            }
        }
    }
    None
}

fn unsafe_code(root: &Path, room: &str) -> Result<Vec<String>> {
    let folder = root.join("crates").join(room);
    let allowed = UNSAFE_ROOMS.iter().find(|(name, _)| *name == room).map(|(_, path)| folder.join(path));
    let mut faults = Vec::new();
    let inherits = read(&folder.join("Cargo.toml"))?.contains("[lints]\nworkspace = true");
    if !inherits && allowed.is_none() {
        faults.push(format!("{room}: does not inherit the workspace's lints"));
    }
    for file in sources(&folder)? {
        if allowed.as_ref().is_some_and(|place| file.starts_with(place)) {
            continue;
        }
        let text = read(&file)?;
        let code: String =
            text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
        let keyword = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "allow(unsafe_code"];
        if keyword.iter().any(|word| code.contains(word)) {
            faults.push(format!("{}: unsafe outside its room", file.strip_prefix(root).unwrap_or(&file).display()));
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_and_named() {
        let graph = stored("a: b\nb: c\nc: a\nd: a").unwrap();
        assert_eq!(knots(&graph), vec![vec!["a", "b", "c", "a"]]);
        assert!(knots(&stored("a: b\nb:\nd: a b").unwrap()).is_empty());
    }

    #[test]
    fn references_follow_groups_and_exports() {
        let modules = ["a", "b"].iter().map(|m| (*m).to_owned()).collect();
        let exported = [("Thing".to_owned(), "b".to_owned())].into();
        let found = references("use crate::{a::X, Thing};", &modules, &exported);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(references("use mycrate::a;", &modules, &exported).is_empty());
    }
}
