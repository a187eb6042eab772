//! The event log: one JSON object a line in Docker's shape, each written by one call, so that lines of several writers
//! never mix.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use jiff::Timestamp;
use serde::Serialize;

use crate::failure::tolerate;

/// What Docker calls a message.
#[derive(Serialize)]
struct Line<'a> {
    status: &'a str,
    id: &'a str,
    from: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
    #[serde(rename = "Action")]
    action: &'a str,
    #[serde(rename = "Actor")]
    actor: Actor<'a>,
    scope: &'a str,
    time: i64,
    #[serde(rename = "timeNano")]
    time_nano: i64,
}

#[derive(Serialize)]
struct Actor<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "Attributes")]
    attributes: BTreeMap<&'a str, &'a str>,
}

/// Where a container's events go.
#[derive(Debug)]
pub(crate) struct Events {
    file: OwnedFd,
    id: String,
    attributes: BTreeMap<String, String>,
}

impl Events {
    /// `file` is open for appending.
    pub(crate) fn new(file: OwnedFd, id: String, attributes: BTreeMap<String, String>) -> Self {
        Self { file, id, attributes }
    }

    /// Tells one. An event that cannot be written (a full disk) must not stop what it tells of.
    pub(crate) fn tell(&self, action: &str, more: &[(&str, &str)]) {
        let line = self.line(action, more, Timestamp::now());
        // A short write leaves a damaged line, which readers skip: there is nothing better to do with a full disk.
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&self.file, &line));
        tolerate(written);
    }

    fn line(&self, action: &str, more: &[(&str, &str)], now: Timestamp) -> Vec<u8> {
        let own = self.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let line = Line {
            status: action,
            id: &self.id,
            from: self.attributes.get("image").map_or("", String::as_str),
            kind: "container",
            action,
            actor: Actor { id: &self.id, attributes: own.chain(more.iter().copied()).collect() },
            scope: "local",
            time: now.as_second(),
            time_nano: i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX),
        };
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_dockers_shape() {
        let attributes =
            BTreeMap::from([("image".to_owned(), "debian".to_owned()), ("name".to_owned(), "web".to_owned())]);
        let events = Events::new(tempfile::tempfile().unwrap().into(), "ab".to_owned(), attributes);
        let line = events.line("die", &[("exitCode", "3")], Timestamp::from_nanosecond(1_500_000_000).unwrap());
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["Actor"]["Attributes"]["exitCode"], "3");
        assert_eq!(value["from"], "debian");
        assert_eq!(value["time"], 1);
        assert_eq!(value["timeNano"], 1_500_000_000);
        assert!(line.ends_with(b"}\n"));
    }
}
