//! Dockerfile instructions of `commit --change` and `import --change`.

use bulkhead_image::config::Runtime;
use serde_json::json;

use crate::model::{Error, Result};
use crate::mounts::clean;

/// Applies them in order.
///
/// # Errors
/// In Docker's words, with the instruction named.
pub(crate) fn apply(config: &mut Runtime, changes: &[String]) -> Result<()> {
    changes
        .iter()
        .flat_map(|change| change.lines())
        .filter(|line| !line.trim().is_empty())
        .try_for_each(|line| one(config, line))
}

fn one(config: &mut Runtime, line: &str) -> Result<()> {
    let line = line.trim();
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let name = name.to_ascii_uppercase();
    if rest.is_empty() {
        return Err(Error::invalid(format!("{name} requires at least one argument")));
    }
    match name.as_str() {
        "CMD" => config.cmd = command(rest),
        "ENTRYPOINT" => {
            config.entrypoint = command(rest);
            config.cmd.clear();
        }
        "ENV" => {
            for (key, value) in pairs(&name, rest)? {
                config.env.retain(|entry| entry.split('=').next() != Some(&key));
                config.env.push(format!("{key}={value}"));
            }
        }
        "LABEL" => config.labels.extend(pairs(&name, rest)?),
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                config.exposed_ports.insert(exposed(port)?, json!({}));
            }
        }
        "ONBUILD" => config.on_build.push(rest.to_owned()),
        "USER" => config.user = rest.to_owned(),
        "STOPSIGNAL" => {
            crate::signal::parse(rest)?;
            config.stop_signal = rest.to_owned();
        }
        "WORKDIR" => {
            config.working_dir =
                clean(&if rest.starts_with('/') { rest.to_owned() } else { format!("{}/{rest}", config.working_dir) });
        }
        "VOLUME" => {
            for path in json_words(rest).unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect()) {
                config.volumes.insert(path, json!({}));
            }
        }
        _ => return Err(Error::invalid(format!("{} is not a valid change command", name.to_lowercase()))),
    }
    Ok(())
}

/// `["a","b"]` as it is, anything else by the shell.
fn command(rest: &str) -> Vec<String> {
    json_words(rest).unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into(), rest.to_owned()])
}

fn json_words(rest: &str) -> Option<Vec<String>> {
    rest.starts_with('[').then(|| serde_json::from_str(rest).ok()).flatten()
}

fn exposed(port: &str) -> Result<String> {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
    let is_valid = match number.split_once('-') {
        Some((first, last)) => is_port(first) && is_port(last),
        None => is_port(number),
    };
    if is_valid && matches!(protocol, "tcp" | "udp" | "sctp") {
        return Ok(format!("{number}/{protocol}"));
    }
    Err(Error::invalid(format!("Invalid containerPort: {port}")))
}

/// `KEY VALUE…` or `KEY=VALUE KEY="VALUE"…`.
fn pairs(name: &str, rest: &str) -> Result<Vec<(String, String)>> {
    let words =
        quoted_words(rest).ok_or_else(|| Error::invalid(format!("{name}: a quote is not closed in {rest:?}")))?;
    let is_old = words.first().is_some_and(|word| !word.contains('='));
    if is_old {
        let (key, value) = rest
            .split_once(char::is_whitespace)
            .ok_or_else(|| Error::invalid(format!("{name} must have two arguments")))?;
        return Ok(vec![(key.to_owned(), value.trim().trim_matches('"').to_owned())]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Error::invalid(format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value"))),
    };
    words.into_iter().map(pair).collect()
}

/// Words with single and double quotes and backslashes taken away.
fn quoted_words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut is_word) = (Vec::new(), String::new(), false);
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) => word.push(characters.next()?),
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.push(c),
            ('"' | '\'', None) => {
                quote = Some(character);
                is_word = true;
            }
            (c, None) if c.is_whitespace() => {
                if is_word || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                is_word = false;
            }
            (c, None) => word.push(c),
        }
    }
    if is_word || !word.is_empty() {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(lines: &[&str]) -> Result<Runtime> {
        let mut config = Runtime { cmd: vec!["old".into()], ..Runtime::default() };
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        apply(&mut config, &lines).map(|()| config)
    }

    #[test]
    fn instructions() {
        let config = applied(&[
            "ENTRYPOINT [\"/e\"]",
            "cmd run it",
            "ENV A=1 B=\"two words\"",
            "ENV C three",
            "LABEL x=y",
            "EXPOSE 80 53/udp",
            "USER app",
            "WORKDIR /srv",
            "WORKDIR x",
            "VOLUME /data /more",
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN x",
        ])
        .unwrap();
        assert_eq!(config.entrypoint, ["/e"]);
        assert_eq!(config.cmd, ["/bin/sh", "-c", "run it"]);
        assert_eq!(config.env, ["A=1", "B=two words", "C=three"]);
        assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
        assert_eq!(config.working_dir, "/srv/x");
        assert_eq!(config.volumes.len(), 2);
    }

    #[test]
    fn bad_ones_are_refused() {
        for bad in ["RUN x", "CMD", "ENV A", "ENV A=\"x", "EXPOSE x", "EXPOSE 80/foo", "STOPSIGNAL FOO", "LABEL a=1 b"]
        {
            assert!(applied(&[bad]).is_err(), "{bad}");
        }
        assert_eq!(applied(&["RUN x"]).unwrap_err().message, "run is not a valid change command");
    }
}
