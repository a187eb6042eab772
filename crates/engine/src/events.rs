//! The event log: one JSON object a line, appended by engines and monitors alike, capped in size.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock;
use crate::engine::Engine;
use crate::filters;
use crate::layout;
use crate::model::{Error, Filters, Result};
use crate::record::Record;
use crate::view::{Actor, Event};

/// Bytes after which the log is moved aside; one older file is kept.
const LARGEST: u64 = 8 << 20;

/// How often a follower looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Engine {
    /// The event log, opened for appending; moved aside first if it is full.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(crate) fn open_events(&self) -> Result<OwnedFd> {
        let path = self.layout.events();
        let open =
            || std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(Error::at(&path));
        let file = open()?;
        if file.metadata().map_err(Error::at(&path))?.len() > LARGEST {
            // Monitors hold the file open, so it is emptied in place: they go on at its new end.
            std::fs::copy(&path, path.with_extension("jsonl.1")).map_err(Error::at(&path))?;
            file.set_len(0).map_err(Error::at(&path))?;
        }
        Ok(file.into())
    }

    /// What each event of a container carries.
    pub(crate) fn attributes(&self, record: &Record) -> BTreeMap<String, String> {
        let mut attributes = record.config.labels.clone();
        attributes.insert("image".into(), record.image.clone());
        attributes.insert("name".into(), record.name.clone());
        attributes
    }

    /// Tells an event of a container.
    pub(crate) fn tell(&self, record: &Record, action: &str, more: &[(&str, String)]) {
        let mut attributes = self.attributes(record);
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let mut event = event("container", action, record.id.to_string(), attributes);
        event.status = action.to_owned();
        event.id = record.id.to_string();
        event.from = record.image.clone();
        self.append(&event);
    }

    /// Tells an event of an image or a volume.
    pub(crate) fn tell_of(&self, kind: &str, action: &str, id: &str, attributes: &[(&str, String)]) {
        let attributes = attributes.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        self.append(&event(kind, action, id.to_owned(), attributes));
    }

    /// An event that cannot be written must not fail the verb that it tells of.
    fn append(&self, event: &Event) {
        let written =
            serde_json::to_vec(event).map_err(|error| Error::internal(error.to_string())).and_then(|mut line| {
                line.push(b'\n');
                let mut file = std::fs::File::from(self.open_events()?);
                file.write_all(&line).map_err(Error::at(&self.layout.events()))
            });
        drop(written);
    }

    /// Events between the times (as in `LogRequest`); without `until` it goes on until `sink` returns false.
    ///
    /// # Errors
    /// If a time or filter is malformed, or the log cannot be read.
    pub fn events(
        &self,
        since: Option<&str>,
        until: Option<&str>,
        filters: &Filters,
        sink: &mut dyn FnMut(Event) -> bool,
    ) -> Result<()> {
        filters::check(filters, &["container", "image", "volume", "event", "type", "label", "scope"])?;
        let since = since.map(clock::moment).transpose()?;
        let until = until.map(clock::moment).transpose()?;
        let fits = |event: &Event| {
            let nanoseconds = i128::from(event.time_nano);
            since.is_none_or(|since| nanoseconds >= since.as_nanosecond())
                && until.is_none_or(|until| nanoseconds <= until.as_nanosecond())
                && is_wanted(event, filters)
        };
        drop(self.open_events()?);
        let path = self.layout.events();
        let mut tail = Tail::open(&path)?;
        if since.is_none() && until.is_none_or(|until| until > Timestamp::now()) {
            tail.skip_to_end()?;
        } else if let Ok(old) = std::fs::File::open(path.with_extension("jsonl.1")) {
            for line in BufReader::new(old).lines().map_while(std::io::Result::ok) {
                if let Ok(event) = serde_json::from_str::<Event>(&line)
                    && fits(&event)
                    && !sink(event)
                {
                    return Ok(());
                }
            }
        }
        loop {
            while let Some(line) = tail.next_line()? {
                if let Ok(event) = serde_json::from_str::<Event>(&line)
                    && fits(&event)
                    && !sink(event)
                {
                    return Ok(());
                }
            }
            if until.is_some_and(|until| Timestamp::now() > until) {
                return Ok(());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn event(kind: &str, action: &str, id: String, attributes: BTreeMap<String, String>) -> Event {
    let now = Timestamp::now();
    Event {
        status: String::new(),
        id: String::new(),
        from: String::new(),
        kind: kind.to_owned(),
        action: action.to_owned(),
        actor: Actor { id, attributes },
        scope: "local".into(),
        time: now.as_second(),
        time_nano: i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX),
    }
}

fn is_wanted(event: &Event, filters: &Filters) -> bool {
    let names = |value: &String| {
        event.actor.id.starts_with(value.as_str()) || event.actor.attributes.get("name") == Some(value)
    };
    filters.iter().all(|(key, values)| match key.as_str() {
        "type" => values.contains(&event.kind),
        "scope" => values.contains(&event.scope),
        // `health_status: healthy` is asked for as `health_status`.
        "event" => values.iter().any(|value| event.action.split(':').next() == Some(value) || event.action == *value),
        "label" => values.iter().all(|value| filters::has_label(&event.actor.attributes, value)),
        kind => event.kind == kind && values.iter().any(names),
    })
}

/// A file that grows, read line by line; begins anew when it was emptied.
pub(crate) struct Tail {
    path: std::path::PathBuf,
    reader: BufReader<std::fs::File>,
    partial: String,
    read: u64,
}

impl Tail {
    /// From its beginning.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &std::path::Path) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(Error::at(path))?;
        Ok(Self { path: path.to_owned(), reader: BufReader::new(file), partial: String::new(), read: 0 })
    }

    /// Leaves out what is there already.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn skip_to_end(&mut self) -> Result<()> {
        self.read = self.reader.seek(std::io::SeekFrom::End(0)).map_err(Error::at(&self.path))?;
        Ok(())
    }

    /// The next whole line; `None` if there is none yet.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn next_line(&mut self) -> Result<Option<String>> {
        if self.reader.buffer().is_empty()
            && self.reader.get_ref().metadata().map_err(Error::at(&self.path))?.len() < self.read
        {
            self.reader.seek(std::io::SeekFrom::Start(0)).map_err(Error::at(&self.path))?;
            self.read = 0;
            self.partial.clear();
        }
        // A line longer than this is no event and no log line of ours.
        let mut limited = (&mut self.reader).take(1 << 20);
        let count = limited.read_line(&mut self.partial).map_err(Error::at(&self.path))?;
        self.read += u64::try_from(count).unwrap_or(0);
        if self.partial.ends_with('\n') {
            return Ok(Some(std::mem::take(&mut self.partial)));
        }
        Ok(None)
    }
}

/// Forgets all events.
///
/// # Errors
/// If the files cannot be removed.
pub(crate) fn forget(engine: &Engine) -> Result<()> {
    let path = engine.layout.events();
    layout::remove_file(&path)?;
    layout::remove_file(&path.with_extension("jsonl.1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_sees_whole_lines_and_a_new_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
        let mut tail = Tail::open(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(tail.next_line().unwrap().as_deref(), Some("one\n"));
        assert_eq!(tail.next_line().unwrap(), None);
        file.write_all(b"o\n").unwrap();
        assert_eq!(tail.next_line().unwrap().as_deref(), Some("two\n"));
        file.set_len(0).unwrap();
        file.write_all(b"x\n").unwrap();
        assert_eq!(tail.next_line().unwrap().as_deref(), Some("x\n"));
    }

    #[test]
    fn filters_of_events() {
        let mut attributes = BTreeMap::new();
        attributes.insert("name".to_owned(), "web".to_owned());
        let event = event("container", "health_status: healthy", "abcdef".into(), attributes);
        let filter = |key: &str, value: &str| Filters::from([(key.to_owned(), vec![value.to_owned()])]);
        assert!(is_wanted(&event, &filter("event", "health_status")));
        assert!(is_wanted(&event, &filter("container", "web")));
        assert!(is_wanted(&event, &filter("container", "abc")));
        assert!(!is_wanted(&event, &filter("image", "web")));
        assert!(!is_wanted(&event, &filter("type", "image")));
    }
}
