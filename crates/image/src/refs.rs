//! `refs.json`: which images are here and which names lead to them. Replaced by rename under a lock; reading takes
//! none.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

use bulkhead_types::{Digest, ErrorClass, ImageRef};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::blobs::{Blobs, Hold};
use crate::model::Error;

const FILE: &str = "refs.json";
const FRESH: &str = "refs.json.new";
const LOCK: &str = "refs.lock";
const VERSION: u32 = 1;
/// A table of a million images would be smaller.
const LIMIT: u64 = 256 << 20;

/// The whole table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    version: u32,
    /// Manifest digest → what it is. Also images without a name.
    pub(crate) images: BTreeMap<Digest, Entry>,
    /// Name → manifest digest.
    pub(crate) references: BTreeMap<ImageRef, Digest>,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Digest of the configuration.
    pub(crate) id: Digest,
}

impl Default for Table {
    fn default() -> Self {
        Self { version: VERSION, images: BTreeMap::new(), references: BTreeMap::new() }
    }
}

/// Digits of an id that listings show.
const SHOWN_ID: usize = 12;

impl Table {
    /// Reads it; an absent file is an empty table.
    pub(crate) fn read(blobs: &Blobs) -> Result<Self, Error> {
        let file = match rustix::fs::openat(blobs.dir(), FILE, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => std::fs::File::from(fd),
            Err(rustix::io::Errno::NOENT) => return Ok(Self::default()),
            Err(errno) => return Err(Error::io("reading the table of images", &errno.into())),
        };
        let mut text = Vec::new();
        file.take(LIMIT).read_to_end(&mut text).map_err(|cause| Error::io("reading the table of images", &cause))?;
        let table: Self = serde_json::from_slice(&text).map_err(|cause| {
            Error::new(ErrorClass::Internal, format!("the table of images ({FILE}) is damaged: {cause}"))
        })?;
        if table.version != VERSION {
            return Err(Error::new(
                ErrorClass::Unsupported,
                format!("the image store has version {}, this program knows {VERSION}: update it", table.version),
            ));
        }
        Ok(table)
    }

    /// Changes it under the lock; an error changes nothing.
    pub(crate) fn update<T>(blobs: &Blobs, change: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let _lock = blobs.lock(LOCK, Hold::Alone, true)?;
        let mut table = Self::read(blobs)?;
        let result = change(&mut table)?;
        table.write(blobs).map_err(|cause| Error::io("writing the table of images", &cause))?;
        Ok(result)
    }

    fn write(&self, blobs: &Blobs) -> std::io::Result<()> {
        let text = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(blobs.dir(), FRESH, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = std::fs::File::from(fd);
        file.write_all(&text)?;
        file.sync_data()?;
        rustix::fs::renameat(blobs.dir(), FRESH, blobs.dir(), FILE)?;
        Ok(())
    }

    /// Manifests whose configuration is `id`.
    pub(crate) fn manifests_of(&self, id: &Digest) -> BTreeSet<Digest> {
        self.images.iter().filter(|(_, entry)| entry.id == *id).map(|(manifest, _)| manifest.clone()).collect()
    }

    /// Names that lead to the image `id`, by whichever manifest.
    pub(crate) fn names_of(&self, id: &Digest) -> Vec<ImageRef> {
        self.references
            .iter()
            .filter(|(_, manifest)| self.images.get(manifest).is_some_and(|entry| entry.id == *id))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// What `text` means here: a name, a whole id or manifest digest, or the unique beginning of an id.
    pub(crate) fn resolve(&self, text: &str) -> Result<Option<Digest>, Error> {
        if let Ok(digest) = text.parse::<Digest>() {
            return Ok(self.by_digest(&digest));
        }
        if let Ok(digest) = format!("sha256:{text}").parse::<Digest>()
            && let Some(manifest) = self.by_digest(&digest)
        {
            return Ok(Some(manifest));
        }
        // An archive may bring any name along. None may stand for what looks like an id.
        if text.starts_with("sha256:") {
            return self.by_prefix(text);
        }
        let named = text.parse::<ImageRef>().ok().and_then(|reference| self.by_name(&reference));
        let Some(manifest) = named else { return self.by_prefix(text) };
        let is_shown_id = text.len() >= SHOWN_ID && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_shown_id && self.by_prefix(text)?.is_some_and(|other| other != manifest) {
            let message = format!(
                "{text} is the name of one image and begins the id of another: write sha256:{text}… for the id, or {text}:latest"
            );
            return Err(Error::new(ErrorClass::Conflict, message));
        }
        Ok(Some(manifest))
    }

    /// Manifest of a name. A name with tag and digest means the digest, as at pull.
    pub(crate) fn by_name(&self, reference: &ImageRef) -> Option<Digest> {
        let found = self.references.get(&canonical(reference));
        // `repository@digest` also finds the image whose manifest that is, if a name of that repository leads to it.
        found.cloned().or_else(|| {
            let digest = reference.digest()?;
            let same = |name: &ImageRef| {
                name.registry() == reference.registry() && name.repository() == reference.repository()
            };
            self.references.iter().find(|(name, manifest)| *manifest == digest && same(name)).map(|(_, m)| m.clone())
        })
    }

    fn by_digest(&self, digest: &Digest) -> Option<Digest> {
        if self.images.contains_key(digest) {
            return Some(digest.clone());
        }
        self.images.iter().find(|(_, entry)| entry.id == *digest).map(|(manifest, _)| manifest.clone())
    }

    fn by_prefix(&self, text: &str) -> Result<Option<Digest>, Error> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if hex.len() < 2 || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return match text.parse::<ImageRef>() {
                Ok(_) => Ok(None),
                Err(cause) => Err(Error::new(ErrorClass::Invalid, cause.to_string())),
            };
        }
        let ids: BTreeSet<&Digest> =
            self.images.values().map(|entry| &entry.id).filter(|id| id.hex().starts_with(hex)).collect();
        match ids.len() {
            0 => Ok(None),
            1 => Ok(ids.first().and_then(|id| self.by_digest(id))),
            count => {
                Err(Error::new(ErrorClass::Invalid, format!("{count} image ids begin with {hex}: give more digits")))
            }
        }
    }
}

/// The form under which a name is stored: a digest makes the tag meaningless.
pub(crate) fn canonical(reference: &ImageRef) -> ImageRef {
    match (reference.tag(), reference.digest()) {
        (Some(_), Some(digest)) => pinned(reference, digest).unwrap_or_else(|| reference.clone()),
        _ => reference.clone(),
    }
}

/// `repository@digest` of the repository that `reference` names.
pub(crate) fn pinned(reference: &ImageRef, digest: &Digest) -> Option<ImageRef> {
    format!("{}/{}@{digest}", reference.registry(), reference.repository()).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(letter: char) -> Digest {
        format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
    }

    fn table() -> Table {
        let mut table = Table::default();
        table.images.insert(digest('a'), Entry { id: digest('1') });
        table.images.insert(digest('b'), Entry { id: digest('2') });
        table.references.insert("debian".parse().unwrap(), digest('a'));
        table.references.insert(format!("app@{}", digest('c')).parse().unwrap(), digest('b'));
        table
    }

    #[test]
    fn finds_by_name_id_prefix_and_digest() {
        let table = table();
        let find = |text: &str| table.resolve(text).unwrap();
        assert_eq!(find("debian"), Some(digest('a')));
        assert_eq!(find("debian:latest"), Some(digest('a')));
        assert_eq!(find("debian:other"), None);
        assert_eq!(find("11"), Some(digest('a')));
        assert_eq!(find("sha256:22"), Some(digest('b')));
        assert_eq!(find(&digest('2').to_string()), Some(digest('b')));
        assert_eq!(find(&"2".repeat(64)), Some(digest('b')));
        assert_eq!(find(&digest('b').to_string()), Some(digest('b')));
        assert_eq!(find(&format!("app:v1@{}", digest('c'))), Some(digest('b')));
        assert_eq!(find(&format!("debian@{}", digest('a'))), Some(digest('a')));
        assert_eq!(find(&format!("other@{}", digest('a'))), None);
        assert_eq!(find("33"), None);
        assert!(table.resolve("UPPER").is_err());
    }

    #[test]
    fn no_name_stands_for_an_id() {
        let mut table = table();
        table.references.insert("sha256:111111111111".parse().unwrap(), digest('b'));
        table.references.insert("111111111111".parse().unwrap(), digest('b'));
        table.references.insert("222222222222".parse().unwrap(), digest('b'));
        assert_eq!(table.resolve("sha256:111111111111").unwrap(), Some(digest('a')));
        assert!(table.resolve("111111111111").unwrap_err().message.contains("id of another"));
        assert_eq!(table.resolve("111111111111:latest").unwrap(), Some(digest('b')));
        assert_eq!(table.resolve("222222222222").unwrap(), Some(digest('b')));
    }

    #[test]
    fn an_ambiguous_prefix_is_refused() {
        let mut table = table();
        let near = format!("sha256:{}{}", "1".repeat(10), "3".repeat(54)).parse().unwrap();
        table.images.insert(digest('d'), Entry { id: near });
        assert!(table.resolve("111").unwrap_err().message.contains("more digits"));
        assert_eq!(table.resolve("11111111113").unwrap(), Some(digest('d')));
    }

    #[test]
    fn survives_its_text_form() {
        let text = serde_json::to_string(&table()).unwrap();
        let back: Table = serde_json::from_str(&text).unwrap();
        assert_eq!(back.references, table().references);
        assert_eq!(back.images, table().images);
    }
}
