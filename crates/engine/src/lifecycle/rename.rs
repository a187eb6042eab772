//! `rename`.

use bulkhead_types::ContainerName;

use crate::engine::Engine;
use crate::model::{Error, Result};
use crate::names;
use crate::pending::Mark;
use crate::record::{Record, Transition};

impl Engine {
    /// Another name. The new one is claimed before the old one is given back.
    ///
    /// # Errors
    /// In Docker's words if the name is malformed, the same, or taken.
    pub fn rename(&self, container: &str, name: &str) -> Result<()> {
        let found = self.find(container)?;
        if name.is_empty() {
            return Err(Error::invalid("Neither old nor new names may be empty"));
        }
        let name: ContainerName = name.parse().map_err(|_| {
            Error::invalid(format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"))
        })?;
        let mut mark = Mark::hold(&self.layout.pending(), found.id.as_str())?;
        let mut record = Record::load(&self.layout, found.id.as_str())?
            .ok_or_else(|| Error::not_found(format!("No such container: {container}")))?;
        let old = record.name.clone();
        if old == name.as_str() {
            return Err(Error::invalid("Renaming a container with the same name as its current name"));
        }
        mark.note(&format!("rename {old} {name}"))?;
        names::claim(&self.layout, name.as_str(), &record.id)?;
        record.apply(Transition::Renamed(name.as_str().to_owned()))?;
        if let Err(error) = record.save(&self.layout) {
            names::release(&self.layout, name.as_str(), &record.id)?;
            return Err(error);
        }
        names::release(&self.layout, &old, &record.id)?;
        self.tell(&record, "rename", &[("oldName", format!("/{old}"))]);
        Ok(())
    }
}
