//! Files of `KEY=value` lines and bare keys that are looked up in the caller's environment.

use std::fs;

use crate::failure::{Failure, Result};

/// `-e` and `--env-file` in Docker's order: files first, so that flags win.
pub fn environment(files: &[String], flags: &[String]) -> Result<Vec<String>> {
    gather(files, flags, "--env-file", |name| std::env::var(name).ok())
}

/// `--label` and `--label-file`. A bare key is an empty label.
pub fn labels(files: &[String], flags: &[String]) -> Result<std::collections::BTreeMap<String, String>> {
    let pairs = gather(files, flags, "--label-file", |_| Some(String::new()))?;
    Ok(pairs.iter().map(|pair| split_pair(pair)).collect())
}

/// `KEY=value`; a bare key has an empty value.
pub fn split_pair(pair: &str) -> (String, String) {
    match pair.split_once('=') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => (pair.to_owned(), String::new()),
    }
}

fn gather(
    files: &[String],
    flags: &[String],
    option: &str,
    bare: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>> {
    let mut pairs = Vec::new();
    for path in files {
        let bytes = fs::read(path).map_err(|error| Failure::new(format!("{option} {path}: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|_| {
            Failure::new(format!("{option} {path} holds bytes that are not UTF-8: save the file as UTF-8"))
        })?;
        pairs.extend(lines(&text, path, &bare)?);
    }
    for flag in flags {
        let key = flag.split('=').next().unwrap_or_default();
        if key.is_empty() {
            return Err(Failure::new(format!("invalid environment variable: {flag}")));
        }
        pairs.extend(complete(flag, &bare));
    }
    Ok(pairs)
}

fn complete(pair: &str, bare: &impl Fn(&str) -> Option<String>) -> Option<String> {
    if pair.contains('=') {
        return Some(pair.to_owned());
    }
    // Docker: a variable that is not set is not passed at all.
    bare(pair).map(|value| format!("{pair}={value}"))
}

/// Docker's grammar: leading blanks are dropped, `#` starts a comment only at the start of a line, the value is taken
/// as it stands with its quotes and trailing blanks.
fn lines(text: &str, path: &str, bare: &impl Fn(&str) -> Option<String>) -> Result<Vec<String>> {
    let mut pairs = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, has_value) = match line.split_once('=') {
            Some((key, _)) => (key, true),
            None => (line.trim_end(), false),
        };
        if key.is_empty() {
            return Err(Failure::new(format!("{path}:{}: no variable name on line {line:?}", number + 1)));
        }
        if key.contains(char::is_whitespace) {
            return Err(Failure::new(format!("{path}:{}: variable '{key}' contains whitespaces", number + 1)));
        }
        let pair = if has_value { line } else { key };
        pairs.extend(complete(pair, bare));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>> {
        lines(text, "f", &|name| (name == "SET").then(|| "yes".to_owned()))
    }

    #[test]
    fn env_files_follow_docker() {
        let text = "\u{feff}# comment\n\nA=1\n  B= two words # not a comment \r\nSET\nUNSET\nC=\"quoted\"\nD==x\n";
        assert_eq!(read(text).unwrap(), ["A=1", "B= two words # not a comment ", "SET=yes", "C=\"quoted\"", "D==x"]);
        assert!(read("A B=1").unwrap_err().message.contains("contains whitespaces"));
        assert!(read("=x").unwrap_err().message.contains("no variable name"));
    }

    #[test]
    fn flags_win_and_must_be_named() {
        assert!(environment(&[], &["=x".into()]).is_err());
        assert_eq!(environment(&[], &["A=".into()]).unwrap(), ["A="]);
        assert_eq!(labels(&[], &["a".into(), "b=c=d".into()]).unwrap()["b"], "c=d");
        assert!(environment(&["/nonexistent".into()], &[]).is_err());
    }
}
