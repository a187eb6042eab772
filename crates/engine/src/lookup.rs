//! From what a user writes to a record: the whole id, a name, or a prefix of exactly one id.

use bulkhead_types::{ContainerId, ContainerName};

use crate::engine::Engine;
use crate::layout;
use crate::model::{Error, Result};
use crate::names;
use crate::record::Record;

impl Engine {
    /// The container that is meant.
    ///
    /// # Errors
    /// `NotFound` in Docker's words, or several ids with this prefix.
    pub(crate) fn find(&self, text: &str) -> Result<Record> {
        let text = text.strip_prefix('/').unwrap_or(text);
        if let Some(id) = self.find_id(text)?
            && let Some(record) = Record::load(&self.layout, id.as_str())?
            && self.notice_dead_monitor(&record)?
        {
            return Ok(record);
        }
        Err(Error::not_found(format!("No such container: {text}")))
    }

    /// The id that is meant, whether its record can be read or not.
    ///
    /// # Errors
    /// If several ids have this prefix.
    pub(crate) fn find_id(&self, text: &str) -> Result<Option<ContainerId>> {
        if let Ok(id) = text.parse::<ContainerId>() {
            return Ok(Some(id));
        }
        if text.parse::<ContainerName>().is_ok()
            && let Some(id) = names::holder(&self.layout, text)?
        {
            return Ok(Some(id));
        }
        if text.is_empty() || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(None);
        }
        let mut found = None;
        for name in layout::names_in(&self.layout.root.join("containers"))? {
            if !name.starts_with(text) {
                continue;
            }
            if found.is_some() {
                return Err(Error::invalid(format!("multiple IDs found with provided prefix: {text}")));
            }
            found = name.parse().ok();
        }
        Ok(found)
    }

    /// All records, newest first. One that disappears or cannot be read meanwhile is left out.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(crate) fn records(&self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for name in layout::names_in(&self.layout.root.join("containers"))? {
            if let Ok(Some(record)) = Record::load(&self.layout, &name) {
                records.push(record);
            }
        }
        records.sort_by(|a: &Record, b: &Record| b.created.cmp(&a.created));
        Ok(records)
    }
}
