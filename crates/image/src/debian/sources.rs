//! Where Debian packages come from: the host's own apt sources, read strictly, or a mirror that the user names.

use std::path::{Path, PathBuf};

use bulkhead_types::ErrorClass;

use crate::model::Error;

const LIST: &str = "/etc/apt/sources.list";
const PARTS: &str = "/etc/apt/sources.list.d";
/// Options that switch off a check. Values other than these words leave it on.
const WEAKENINGS: [&str; 4] = ["trusted", "allow-insecure", "allow-weak", "allow-downgrade-to-insecure"];

/// One archive and one suite of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    pub(super) uri: String,
    pub(super) suite: String,
    pub(super) components: Vec<String>,
}

impl Source {
    /// The line for apt, with the keyring that alone may vouch for it.
    pub(super) fn line(&self, keyring: &Path) -> String {
        format!("deb [signed-by={}] {} {} {}", keyring.display(), self.uri, self.suite, self.components.join(" "))
    }

    /// Address of a file of this suite.
    pub(super) fn file(&self, name: &str) -> String {
        format!("{}/dists/{}/{name}", self.uri.trim_end_matches('/'), self.suite)
    }
}

fn invalid(text: String) -> Error {
    Error::new(ErrorClass::Invalid, text)
}

/// The one source of a named mirror.
pub(super) fn of_mirror(mirror: &str, suite: &str) -> Result<Vec<Source>, Error> {
    let known = ["http://", "https://", "file:/"].iter().any(|scheme| mirror.starts_with(scheme));
    let plain = mirror.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'[' | b']' | b'\'' | b'"'));
    if !known || !plain {
        return Err(invalid(format!("the mirror {mirror:?} is not an http:, https: or file: address")));
    }
    Ok(vec![Source { uri: mirror.into(), suite: suite.into(), components: vec!["main".into()] }])
}

/// The host's sources for a suite, its updates and its security fixes.
pub(super) fn of_host(suite: &str) -> Result<Vec<Source>, Error> {
    let mut paths = vec![PathBuf::from(LIST)];
    if let Ok(entries) = std::fs::read_dir(PARTS) {
        paths.extend(entries.flatten().map(|entry| entry.path()));
    }
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let form = path.extension().and_then(|extension| extension.to_str());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => continue,
            Err(cause) => return Err(Error::io(format_args!("reading {}", path.display()), &cause)),
        };
        let found = match form {
            Some("list") => from_list(&text, suite),
            Some("sources") => from_paragraphs(&text, suite),
            _ => continue,
        };
        all.extend(found.map_err(|why| invalid(format!("{}: {why}", path.display())))?);
    }
    all.sort();
    all.dedup();
    if all.iter().any(|source| source.suite == suite) {
        return Ok(all);
    }
    Err(invalid(format!(
        "this machine's apt sources name no archive for the suite {suite:?}: give one with --mirror, for example the \
         address that stands in {LIST} of a Debian machine"
    )))
}

fn wanted(candidate: &str, suite: &str) -> bool {
    candidate == suite || candidate.strip_prefix(suite).is_some_and(|rest| matches!(rest, "-updates" | "-security"))
}

fn check_option(name: &str, value: &str) -> Result<(), String> {
    let weak = WEAKENINGS.contains(&name.to_ascii_lowercase().as_str());
    if weak && !matches!(value.trim().to_ascii_lowercase().as_str(), "no" | "false" | "0" | "off") {
        return Err(format!(
            "the source has {name}={value}, which switches the signature check off: refused; remove it, or name \
             another archive with --mirror"
        ));
    }
    Ok(())
}

/// The one-line format (sources.list(5)).
fn from_list(text: &str, suite: &str) -> Result<Vec<Source>, String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        let Some(rest) = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t'])) else { continue };
        let rest = rest.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(open) => open.split_once(']').ok_or("an option list has no end")?,
            None => ("", rest),
        };
        let mut words = rest.split_ascii_whitespace();
        let (Some(uri), Some(named)) = (words.next(), words.next()) else { continue };
        if !wanted(named, suite) {
            continue;
        }
        for option in options.split_ascii_whitespace() {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            check_option(name, value)?;
        }
        let components = words.map(str::to_owned).collect();
        found.push(Source { uri: uri.into(), suite: named.into(), components });
    }
    Ok(found)
}

/// The deb822 format.
fn from_paragraphs(text: &str, suite: &str) -> Result<Vec<Source>, String> {
    let mut found = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in paragraph.lines().filter(|line| !line.starts_with('#')) {
            match line.split_once(':') {
                Some((name, value)) if !line.starts_with([' ', '\t']) => {
                    fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
                }
                _ => {
                    if let Some((_, value)) = fields.last_mut() {
                        value.push(' ');
                        value.push_str(line.trim());
                    }
                }
            }
        }
        let words = |name: &str| -> Vec<String> {
            let value = fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value);
            value.split_ascii_whitespace().map(str::to_owned).collect()
        };
        let enabled = !words("enabled").iter().any(|value| value == "no");
        if !enabled || !words("types").iter().any(|kind| kind == "deb") {
            continue;
        }
        let suites: Vec<String> = words("suites").into_iter().filter(|named| wanted(named, suite)).collect();
        if suites.is_empty() {
            continue;
        }
        for (name, value) in &fields {
            check_option(name, value)?;
        }
        for uri in words("uris") {
            for suite in &suites {
                found.push(Source { uri: uri.clone(), suite: suite.clone(), components: words("components") });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_formats() {
        let list = "# x\ndeb [signed-by=/k arch=amd64] http://a.test/debian bookworm main contrib # y\n\
                    deb-src http://a.test/debian bookworm main\ndeb http://b.test/ sid main\n";
        let found = from_list(list, "bookworm").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line(Path::new("/k")), "deb [signed-by=/k] http://a.test/debian bookworm main contrib");
        assert_eq!(found[0].file("InRelease"), "http://a.test/debian/dists/bookworm/InRelease");
        let paragraphs = "Types: deb\n# http://x\nURIs: http://a.test/debian\nSuites: bookworm bookworm-updates\n other\n\
                          Components: main\n\nTypes: deb\nURIs: http://s.test/\nSuites: bookworm-security\n\
                          Components: main\nEnabled: no\n";
        let suites: Vec<String> =
            from_paragraphs(paragraphs, "bookworm").unwrap().into_iter().map(|source| source.suite).collect();
        assert_eq!(suites, ["bookworm", "bookworm-updates"]);
    }

    #[test]
    fn refuses_sources_without_signatures() {
        for option in ["trusted=yes", "allow-insecure=yes", "allow-weak=1", "Trusted=true"] {
            assert!(from_list(&format!("deb [{option}] http://a.test/ s main"), "s").unwrap_err().contains("refused"));
        }
        assert!(from_list("deb [trusted=no] http://a.test/ s main", "s").is_ok());
        let text = "Types: deb\nURIs: http://a.test/\nSuites: s\nComponents: main\nTrusted: yes\n";
        assert!(from_paragraphs(text, "s").unwrap_err().contains("refused"));
        assert!(of_mirror("http://a.test/ [trusted=yes]", "s").is_err());
        assert!(of_mirror("copy:/x", "s").is_err());
    }
}
