//! Where everything lies: the one place that knows the names of the engine's own files.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::model::{Error, Result};

/// The durable and the run-time root.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Survives a restart of the host.
    pub root: PathBuf,
    /// On a tmpfs: gone after a restart of the host.
    pub run: PathBuf,
}

impl Layout {
    /// `config.json`, `exit.json` and `log/` of a container.
    pub fn container(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }

    /// The record of a container.
    pub fn record(&self, id: &str) -> PathBuf {
        self.container(id).join("config.json")
    }

    /// `lock`, `control.sock` and `state.json` of a container.
    pub fn running(&self, id: &str) -> PathBuf {
        self.run.join("containers").join(id)
    }

    /// A symbolic link whose text is the id of the container of this name.
    pub fn name(&self, name: &str) -> PathBuf {
        self.root.join("names").join(name)
    }

    /// Marks of operations under way.
    pub fn pending(&self) -> PathBuf {
        self.run.join("pending")
    }

    /// The append-only event log.
    pub fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// Layers that outlived their image because a container stands on them, one a line.
    pub fn stray_layers(&self) -> PathBuf {
        self.root.join("stray-layers")
    }

    /// Exists once everything below was made and swept since the host started.
    pub fn ready(&self) -> PathBuf {
        self.run.join("ready")
    }

    /// Makes all directories, closed to everybody else.
    ///
    /// # Errors
    /// If one cannot be made.
    pub fn create(&self) -> Result<()> {
        for dir in [&self.root, &self.run] {
            make_private(dir)?;
        }
        for name in ["containers", "names"] {
            make_private(&self.root.join(name))?;
        }
        for name in ["containers", "pending"] {
            make_private(&self.run.join(name))?;
        }
        Ok(())
    }
}

/// `mkdir -p` with mode 0700 for what is new.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn make_private(dir: &Path) -> Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(Error::at(dir))
}

/// Writes a file so that a reader sees the old or the new content, whatever process dies meanwhile.
///
/// # Errors
/// If it cannot be written; the old content stays then.
pub(crate) fn replace(path: &Path, contents: &[u8], durable: bool) -> Result<()> {
    let new = path.with_extension("new");
    let written = write_new(&new, contents, durable).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        remove_file(&new)?;
    }
    written.map_err(Error::at(path))
}

fn write_new(path: &Path, contents: &[u8], durable: bool) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(contents)?;
    if durable { file.sync_data() } else { Ok(()) }
}

/// Removes a file; a missing one is no error.
///
/// # Errors
/// If it is there and cannot be removed.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::at(path)(error)),
        _ => Ok(()),
    }
}

/// Removes one of the engine's own directories with all below it; a missing one is no error.
///
/// # Errors
/// If something cannot be removed.
pub(crate) fn remove_dir(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::at(path)(error)),
        _ => Ok(()),
    }
}

/// Names in a directory; none if it is missing.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn names_in(dir: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::at(dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::at(dir))?;
        if let Some(name) = entry.file_name().to_str() {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        replace(&path, b"1", false).unwrap();
        replace(&path, b"22", true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"22");
        assert_eq!(names_in(dir.path()).unwrap(), ["config.json"]);
    }

    #[test]
    fn missing_things_are_removed_quietly() {
        let dir = tempfile::tempdir().unwrap();
        remove_file(&dir.path().join("a")).unwrap();
        remove_dir(&dir.path().join("b")).unwrap();
        assert!(names_in(&dir.path().join("c")).unwrap().is_empty());
    }
}
