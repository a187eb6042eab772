//! `WWW-Authenticate` (RFC 9110, 11.6.1) and the distribution spec's token answer.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One challenge: scheme in lower case and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: String,
    pub(crate) parameters: BTreeMap<String, String>,
}

/// Reads a header's challenges; what cannot be read is skipped.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = header.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_whitespace() || c == ',' || c == '=').unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        let tail = tail.trim_start();
        if let Some(value) = tail.strip_prefix('=') {
            let (value, next) = take_value(value.trim_start());
            if let Some(challenge) = found.last_mut() {
                challenge.parameters.insert(word.to_ascii_lowercase(), value);
            }
            rest = next;
        } else {
            if !word.is_empty() {
                found.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: BTreeMap::new() });
            }
            rest = tail;
        }
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
    }
    found
}

fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c.is_ascii_whitespace() || c == ',').unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

/// A token server's answer; Docker's servers say `token`, OAuth2's `access_token`.
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl TokenAnswer {
    pub(crate) fn token(self) -> Option<String> {
        [self.token, self.access_token].into_iter().find(|token| !token.is_empty())
    }
}

/// Percent-encodes a query value (RFC 3986, only the unreserved stay).
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else if write!(encoded, "%{byte:02X}").is_err() {
            // Writing to a String cannot fail.
            break;
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_challenges() {
        let one = parse(r#"Bearer realm="https://a.test/token?x=1,2",service="s \"q\"", scope=repository:a:pull"#);
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].parameters["realm"], "https://a.test/token?x=1,2");
        assert_eq!(one[0].parameters["service"], "s \"q\"");
        assert_eq!(one[0].parameters["scope"], "repository:a:pull");
        let two = parse(r#"Negotiate, Basic realm="x", Bearer realm = "y""#);
        let schemes: Vec<&str> = two.iter().map(|challenge| challenge.scheme.as_str()).collect();
        assert_eq!(schemes, ["negotiate", "basic", "bearer"]);
        assert_eq!(two[2].parameters["realm"], "y");
        for odd in ["", ",", "=", "\"", "a=\"", "Bearer realm=\"unterminated\\", "é=\"ü\", ="] {
            parse(odd);
        }
        assert_eq!(encode("repository:a/b:pull,push é"), "repository%3Aa%2Fb%3Apull%2Cpush%20%C3%A9");
    }
}
