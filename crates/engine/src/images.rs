//! Images: the image room does the work; here containers protect what they use, and views are made.

use std::io::{Read, Write};

use bulkhead_image::{Image, Progress, PullOptions, Removed, SaveFormat};
use bulkhead_types::{Digest, ImageRef, Platform};
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::image_parts::{new_config, parse_reference};
use crate::lifecycle::platform_of;
use crate::model::{Error, Filters, PulledImage, Result};
use crate::view::{HistoryLine, ImageSummary};
use crate::{builtin, changes, clock, filters, layout};

impl Engine {
    /// An image of the store, or the one built into this program.
    ///
    /// # Errors
    /// If the text is ambiguous or the store damaged.
    pub(crate) fn find_image(&self, text: &str) -> Result<Option<Image>> {
        match self.image_store.find(text)? {
            Some(image) => Ok(Some(image)),
            None if builtin::is_meant(text) => builtin::make(self).map(Some),
            None => Ok(None),
        }
    }

    /// An image that must be here.
    ///
    /// # Errors
    /// `NotFound` in Docker's words.
    pub(crate) fn known_image(&self, text: &str) -> Result<Image> {
        self.find_image(text)?.ok_or_else(|| Error::not_found(format!("No such image: {text}")))
    }

    /// Fetches.
    ///
    /// # Errors
    /// The registry's answer in words.
    pub fn pull(
        &self,
        reference: &ImageRef,
        platform: Option<Platform>,
        progress: &dyn Progress,
    ) -> Result<PulledImage> {
        // A damaged image is what a pull heals: it must not stand in the way of it.
        let before = self.image_store.find(&reference.to_string()).ok().flatten().map(|image| image.id);
        let options = PullOptions { platform: platform.unwrap_or_else(Platform::host), credentials: None };
        let image = self.image_store.pull(reference, &options, &self.layer_sink(), progress)?;
        self.tell_of("image", "pull", &reference.familiar(), &[("name", reference.familiar_name())]);
        Ok(PulledImage {
            changed: before.as_ref() != Some(&image.id),
            id: image.id,
            digest: image.manifest,
            reference: reference.clone(),
        })
    }

    /// Uploads; the manifest's digest.
    ///
    /// # Errors
    /// The registry's answer in words.
    pub fn push(&self, reference: &ImageRef, progress: &dyn Progress) -> Result<Digest> {
        let digest = self.image_store.push(reference, None, progress)?;
        self.tell_of("image", "push", &reference.familiar(), &[("name", reference.familiar_name())]);
        Ok(digest)
    }

    /// Docker archive or OCI layout; what was loaded, as `Loaded image: …` names it.
    ///
    /// # Errors
    /// If it is neither, or hostile.
    pub fn load(&self, archive: &mut (dyn Read + Send), progress: &dyn Progress) -> Result<Vec<String>> {
        let images = self.image_store.load(archive, &self.layer_sink(), progress)?;
        let mut loaded = Vec::new();
        for image in images {
            self.tell_of("image", "load", &image.id.to_string(), &[]);
            let tags: Vec<String> =
                image.references.iter().filter(|name| name.tag().is_some()).map(ImageRef::familiar).collect();
            if tags.is_empty() {
                loaded.push(image.id.to_string());
            }
            loaded.extend(tags);
        }
        loaded.dedup();
        Ok(loaded)
    }

    /// One archive of several images.
    ///
    /// # Errors
    /// If one does not exist, or writing fails.
    pub fn save(&self, names: &[String], format: SaveFormat, out: &mut dyn Write) -> Result<()> {
        for name in names {
            self.known_image(name)?;
        }
        Ok(self.image_store.save(names, format, out)?)
    }

    /// A root file system tar as image. `changes` as in `commit`.
    ///
    /// # Errors
    /// If the tar is hostile or a change malformed.
    pub fn import(
        &self,
        tar: &mut (dyn Read + Send),
        reference: Option<&str>,
        message: Option<&str>,
        changes: &[String],
    ) -> Result<Digest> {
        let reference = reference.map(parse_reference).transpose()?;
        let mut config = new_config();
        config.comment = message.map(str::to_owned);
        changes::apply(&mut config.config, changes)?;
        let image = self.image_store.import(tar, config, reference.as_ref(), &self.layer_sink())?;
        self.tell_of("image", "import", &image.id.to_string(), &[]);
        Ok(image.id)
    }

    /// Filters: `dangling`, `label`, `before`, `since`, `reference`. `all` shows untagged intermediate ones too.
    ///
    /// # Errors
    /// If a filter is malformed or names no image.
    pub fn images(&self, all: bool, filters: &Filters) -> Result<Vec<ImageSummary>> {
        // Docker hides intermediate images of its builds; there are none here, so all is always shown.
        let _ = all;
        filters::check(filters, &["dangling", "label", "label!", "before", "since", "reference", "until"])?;
        let dangling = filters::flag(filters, "dangling")?;
        let until = filters::until(filters)?;
        let bound = |key: &str| -> Result<Option<i64>> {
            let Some(name) = filters.get(key).and_then(|values| values.first()) else { return Ok(None) };
            Ok(Some(created(&self.known_image(name)?)))
        };
        let (before, since) = (bound("before")?, bound("since")?);
        let users = self.image_users()?;
        let mut summaries = Vec::new();
        for image in self.image_store.list()? {
            let when = created(&image);
            let fits = filters::fits_labels(filters, &image.config.config.labels)
                && before.is_none_or(|before| when < before)
                && since.is_none_or(|since| when > since)
                && until.is_none_or(|until| when < until.as_second());
            if fits {
                let count = users.iter().filter(|(id, _)| *id == image.id).count();
                summaries.extend(self.summaries(&image, dangling, filters, u64::try_from(count).unwrap_or(0)));
            }
        }
        Ok(summaries)
    }

    /// One line a name; `<none>` for a nameless one.
    fn summaries(
        &self,
        image: &Image,
        dangling: Option<bool>,
        filters: &Filters,
        containers: u64,
    ) -> Vec<ImageSummary> {
        let size = image.layers.iter().map(|layer| self.rootfs.layer_size(&layer.diff_id)).sum();
        let line = |repository: String, tag: String| ImageSummary {
            id: image.id.to_string(),
            repository,
            tag,
            digest: image.manifest.to_string(),
            created: created(image),
            size,
            labels: image.config.config.labels.clone(),
            containers,
        };
        let patterns = filters.get("reference");
        let wanted = |name: &ImageRef| {
            patterns.is_none_or(|patterns| patterns.iter().any(|pattern| matches_reference(name, pattern)))
        };
        let none = || "<none>".to_owned();
        let mut lines: Vec<ImageSummary> = image
            .references
            .iter()
            .filter(|name| name.tag().is_some() && wanted(name))
            .map(|name| line(name.familiar_name(), name.tag().unwrap_or_default().to_owned()))
            .collect();
        if !image.references.iter().any(|name| name.tag().is_some()) {
            let pinned = image.references.iter().find(|name| wanted(name));
            if let Some(name) = pinned {
                lines.push(line(name.familiar_name(), none()));
            } else if patterns.is_none() {
                lines.push(line(none(), none()));
            }
        }
        lines.retain(|line| dangling.is_none_or(|dangling| dangling == (line.tag == "<none>")));
        lines
    }

    /// Docker's shape.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn image_inspect(&self, name: &str) -> Result<Value> {
        let image = self.known_image(name)?;
        let tags: Vec<String> =
            image.references.iter().filter(|name| name.tag().is_some()).map(ImageRef::familiar).collect();
        let digests: Vec<String> = image
            .references
            .iter()
            .filter(|name| name.digest().is_some() || name.registry() != "docker.io")
            .map(|name| format!("{}@{}", name.familiar_name(), image.manifest))
            .collect();
        let size: u64 = image.layers.iter().map(|layer| self.rootfs.layer_size(&layer.diff_id)).sum();
        let layers: Vec<String> = image.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        let platform = platform_of(&image);
        let config = &image.config;
        Ok(json!({
            "Id": image.id.to_string(),
            "RepoTags": tags,
            "RepoDigests": digests,
            "Parent": "",
            "Comment": config.comment.clone().unwrap_or_default(),
            "Created": config.created.clone().unwrap_or_else(|| clock::NEVER.to_owned()),
            "DockerVersion": "",
            "Author": config.author.clone().unwrap_or_default(),
            "Config": crate::inspect::image_config(&config.config),
            "Architecture": platform.architecture,
            "Variant": platform.variant.unwrap_or_default(),
            "Os": platform.os,
            "Size": size,
            "GraphDriver": { "Name": "bulkhead", "Data": null },
            "RootFS": { "Type": "layers", "Layers": layers },
            "Metadata": { "LastTagTime": clock::NEVER },
            "Descriptor": { "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image.manifest.to_string() },
        }))
    }

    /// Newest first.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn history(&self, name: &str) -> Result<Vec<HistoryLine>> {
        let image = self.known_image(name)?;
        let mut sizes = image.layers.iter().map(|layer| self.rootfs.layer_size(&layer.diff_id));
        let mut lines: Vec<HistoryLine> = image
            .config
            .history
            .iter()
            .map(|step| HistoryLine {
                id: "<missing>".into(),
                created: step.created.as_deref().map_or(0, clock::seconds),
                created_by: step.created_by.clone().unwrap_or_default(),
                size: if step.empty_layer { 0 } else { sizes.next().unwrap_or(0) },
                comment: step.comment.clone().unwrap_or_default(),
            })
            .collect();
        // Layers that nobody wrote a history for.
        lines.extend(sizes.map(|size| HistoryLine { id: "<missing>".into(), size, ..HistoryLine::default() }));
        lines.reverse();
        if let Some(first) = lines.first_mut() {
            first.id = image.id.to_string();
        }
        Ok(lines)
    }

    /// Another name.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn tag(&self, source: &str, target: &ImageRef) -> Result<()> {
        let image = self.known_image(source)?;
        // By its manifest: several may share an id, and the one that was named is meant.
        self.image_store.tag(&image.manifest.to_string(), target)?;
        self.tell_of("image", "tag", &image.id.to_string(), &[("name", target.familiar())]);
        Ok(())
    }

    /// Removes a name, and with the last one the image.
    ///
    /// # Errors
    /// `NotFound`; Conflict if a container uses it.
    pub fn remove_image(&self, name: &str, force: bool) -> Result<Vec<Removed>> {
        let mut holders = Vec::new();
        for record in self.records()? {
            // What runs keeps its image whatever is forced.
            if !force || self.is_alive(record.id.as_str())? {
                holders.push((record.image_id, format!("container {}", record.id.short())));
            }
        }
        let in_use = |id: &Digest| holders.iter().find(|(used, _)| used == id).map(|(_, holder)| holder.clone());
        let removed = self.image_store.remove(name, force, &in_use, &self.removal_sink()?)?;
        for one in &removed {
            match one {
                Removed::Untagged(reference) => {
                    self.tell_of("image", "untag", &reference.familiar(), &[("name", reference.familiar())]);
                }
                Removed::Deleted(digest) => self.tell_of("image", "delete", &digest.to_string(), &[]),
            }
        }
        Ok(removed)
    }

    /// Dangling ones, or `all` that no container uses; what was done and the bytes freed.
    ///
    /// # Errors
    /// If a filter is malformed.
    pub fn prune_images(&self, all: bool, filters: &Filters) -> Result<(Vec<Removed>, u64)> {
        filters::check(filters, &["dangling", "until", "label", "label!"])?;
        let all = all || filters::flag(filters, "dangling")? == Some(false);
        let until = filters::until(filters)?;
        let users = self.image_users()?;
        let keep = |image: &Image| {
            let is_used = users.iter().any(|(id, _)| *id == image.id);
            let is_named = image.references.iter().any(|name| name.tag().is_some() || name.digest().is_some());
            let is_young = until.is_some_and(|until| created(image) >= until.as_second());
            is_used || (is_named && !all) || is_young || !filters::fits_labels(filters, &image.config.config.labels)
        };
        let (removed, mut freed) = self.image_store.prune(&keep, &self.removal_sink()?)?;
        freed += self.remove_stray_layers()?;
        Ok((removed, freed))
    }

    /// Layers that only a container kept whose image was removed by force, and that may be gone now, too.
    fn remove_stray_layers(&self) -> Result<u64> {
        let path = self.layout.stray_layers();
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(0) };
        let mut used = self.layers_of_containers()?;
        for image in self.image_store.list()? {
            used.extend(image.layers.into_iter().map(|layer| layer.diff_id));
        }
        let (mut freed, mut left) = (0, String::new());
        for layer in text.lines().filter_map(|line| line.parse::<Digest>().ok()) {
            if used.contains(&layer) {
                left.push_str(&format!("{layer}\n"));
                continue;
            }
            freed += self.rootfs.layer_size(&layer);
            self.rootfs.remove_layer(&layer)?;
        }
        layout::replace(&path, left.as_bytes(), true)?;
        Ok(freed)
    }

    /// Image ids with a container each that was made from them.
    pub(crate) fn image_users(&self) -> Result<Vec<(Digest, String)>> {
        Ok(self.records()?.into_iter().map(|record| (record.image_id, record.id.short().to_owned())).collect())
    }
}

fn created(image: &Image) -> i64 {
    image.config.created.as_deref().map_or(0, clock::seconds)
}

/// Docker's `--filter reference=PATTERN`: `*` matches within a component.
pub(crate) fn matches_reference(name: &ImageRef, pattern: &str) -> bool {
    let (familiar, bare) = (name.familiar(), name.familiar_name());
    let last = bare.rsplit('/').next().unwrap_or_default().to_owned();
    let with_tag = format!("{last}:{}", name.tag().unwrap_or_default());
    [familiar, bare, last, with_tag].iter().any(|text| glob(pattern.as_bytes(), text.as_bytes()))
}

/// `*` and `?`, neither across a slash.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            glob(rest, text) || text.split_first().is_some_and(|(first, tail)| *first != b'/' && glob(pattern, tail))
        }
        (Some((b'?', rest)), Some((first, tail))) => *first != b'/' && glob(rest, tail),
        (Some((wanted, rest)), Some((first, tail))) => wanted == first && glob(rest, tail),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_patterns() {
        let name: ImageRef = "localhost:5000/team/app:1.2".parse().unwrap();
        for pattern in ["localhost:5000/team/app", "localhost:5000/*/app:1.*", "app", "app:1.2", "ap?"] {
            assert!(matches_reference(&name, pattern), "{pattern}");
        }
        for pattern in ["*", "team/app", "app:2"] {
            assert_eq!(matches_reference(&name, pattern), pattern == "*", "{pattern}");
        }
    }
}
