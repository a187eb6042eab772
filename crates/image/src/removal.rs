//! `rmi`, `tag` and `prune`, with Docker's rules.

use bulkhead_types::{Digest, ErrorClass, ImageRef};

use crate::manifest::DOCUMENT_LIMIT;
use crate::model::{Error, Image, LayerSink, Removed};
use crate::refs::{Table, canonical};
use crate::shelf::{Shelf, parse_config};

/// Adds a name.
pub(crate) fn tag(shelf: &Shelf, source: &str, target: &ImageRef) -> Result<(), Error> {
    if target.digest().is_some() {
        return Err(Error::new(ErrorClass::Invalid, "an image cannot be tagged with a digest: give name:tag"));
    }
    Table::update(&shelf.blobs, |table| {
        let manifest = table
            .resolve(source)?
            .ok_or_else(|| Error::new(ErrorClass::NotFound, format!("No such image: {source}")))?;
        table.references.insert(target.clone(), manifest);
        Ok(())
    })
}

/// What a removal will do to the table.
#[derive(Debug, Default)]
struct Verdict {
    names: Vec<ImageRef>,
    manifests: Vec<Digest>,
    /// Set if the content goes too.
    id: Option<Digest>,
}

/// Removes a name, and with the last name the content.
pub(crate) fn remove(
    shelf: &Shelf,
    name: &str,
    force: bool,
    in_use: &dyn Fn(&Digest) -> Option<String>,
    sink: &dyn LayerSink,
) -> Result<Vec<Removed>, Error> {
    let removed = Table::update(&shelf.blobs, |table| {
        let verdict = judge(table, name, force, in_use)?;
        Ok(apply(table, verdict))
    })?;
    if removed.iter().any(|step| matches!(step, Removed::Deleted(_))) {
        collect_garbage(shelf, sink)?;
    }
    Ok(removed)
}

fn apply(table: &mut Table, verdict: Verdict) -> Vec<Removed> {
    for name in &verdict.names {
        table.references.remove(name);
    }
    for manifest in &verdict.manifests {
        table.images.remove(manifest);
    }
    let names = verdict.names.into_iter().map(Removed::Untagged);
    names.chain(verdict.id.map(Removed::Deleted)).collect()
}

fn conflict(text: String) -> Error {
    Error::new(ErrorClass::Conflict, format!("conflict: {text}"))
}

fn judge(table: &Table, name: &str, force: bool, in_use: &dyn Fn(&Digest) -> Option<String>) -> Result<Verdict, Error> {
    let not_found = || Error::new(ErrorClass::NotFound, format!("No such image: {name}"));
    let manifest = table.resolve(name)?.ok_or_else(not_found)?;
    let id = table.images.get(&manifest).map(|entry| entry.id.clone()).ok_or_else(not_found)?;
    let all = table.names_of(&id);
    let by_name = name.parse::<ImageRef>().ok().map(|name| canonical(&name)).filter(|name| all.contains(name));
    let manifests = || table.manifests_of(&id).into_iter().collect();
    match by_name {
        Some(reference) => {
            let names = with_pins(reference, &all);
            if names.len() < all.len() {
                return Ok(Verdict { names, manifests: Vec::new(), id: None });
            }
            if let Some(holder) = in_use(&id) {
                return Err(conflict(format!(
                    "unable to remove repository reference {name:?} - {holder} is using its referenced image {}",
                    id.short()
                )));
            }
            Ok(Verdict { names, manifests: manifests(), id: Some(id) })
        }
        None => {
            let mut repositories: Vec<String> = all.iter().map(ImageRef::familiar_name).collect();
            repositories.sort();
            repositories.dedup();
            let tags = all.iter().filter(|name| name.tag().is_some()).count();
            if (repositories.len() > 1 || tags > 1) && !force {
                return Err(conflict(format!(
                    "unable to delete {} (must be forced) - image is referenced by {}",
                    id.short(),
                    all.iter().map(ImageRef::familiar).collect::<Vec<_>>().join(", ")
                )));
            }
            if let Some(holder) = in_use(&id) {
                return Err(conflict(format!("unable to delete {} - image is being used by {holder}", id.short())));
            }
            Ok(Verdict { names: all, manifests: manifests(), id: Some(id) })
        }
    }
}

/// The name, and if it is its repository's last tag, that repository's pinned digests with it.
fn with_pins(reference: ImageRef, all: &[ImageRef]) -> Vec<ImageRef> {
    let same = |other: &&ImageRef| {
        other.registry() == reference.registry() && other.repository() == reference.repository() && **other != reference
    };
    let tag_left = all.iter().filter(same).any(|other| other.tag().is_some());
    let pins: Vec<ImageRef> = match (reference.tag(), tag_left) {
        (Some(_), false) => all.iter().filter(same).cloned().collect(),
        _ => Vec::new(),
    };
    let mut names = vec![reference];
    names.extend(pins);
    names
}

/// Removes images that `keep` does not keep, unreferenced blobs and leftovers.
pub(crate) fn prune(
    shelf: &Shelf,
    keep: &dyn Fn(&Image) -> bool,
    sink: &dyn LayerSink,
) -> Result<(Vec<Removed>, u64), Error> {
    let mut doomed = Vec::new();
    for image in shelf.list()? {
        if !keep(&image) {
            doomed.push(image);
        }
    }
    let mut removed = Vec::new();
    if !doomed.is_empty() {
        removed = Table::update(&shelf.blobs, |table| {
            let mut steps = Vec::new();
            for image in &doomed {
                let manifests = table.manifests_of(&image.id).into_iter().collect::<Vec<_>>();
                // Somebody may have given it a name since it was judged: then it stays.
                let names = table.names_of(&image.id);
                if manifests.is_empty() || names.iter().any(|name| !image.references.contains(name)) {
                    continue;
                }
                steps.extend(apply(table, Verdict { names, manifests, id: Some(image.id.clone()) }));
            }
            Ok(steps)
        })?;
    }
    let freed = collect_garbage(shelf, sink)?;
    Ok((removed, freed))
}

/// Removes blobs and layers that no image needs. Does nothing while somebody adds: the next removal catches up.
/// Goes on after a failure and reports the first.
pub(crate) fn collect_garbage(shelf: &Shelf, sink: &dyn LayerSink) -> Result<u64, Error> {
    let Some(_alone) = shelf.hold_alone()? else { return Ok(0) };
    let (blobs, layers) = shelf.needed(&Table::read(&shelf.blobs)?)?;
    let mut freed = 0;
    let mut first = None;
    let mut note = |failure: Error| {
        first.get_or_insert(failure);
    };
    let garbage: Vec<Digest> =
        shelf.blobs.list()?.into_iter().map(|(digest, _)| digest).filter(|digest| !blobs.contains(digest)).collect();
    for digest in &garbage {
        // A configuration names its layers, and stays until they could be removed: it is the only trace of them.
        let mut stays = false;
        for diff_id in diff_ids(shelf, digest)?.iter().filter(|id| !layers.contains(id) && sink.has(id)) {
            let size = sink.size(diff_id);
            match sink.remove(diff_id) {
                Ok(()) => freed += size,
                Err(failure) => {
                    stays = true;
                    // A container still stands on it: that is no failure.
                    if failure.class != ErrorClass::Conflict {
                        note(failure);
                    }
                }
            }
        }
        if stays {
            continue;
        }
        match shelf.blobs.remove(digest) {
            Ok(size) => freed += size,
            Err(failure) => note(failure),
        }
    }
    match shelf.blobs.sweep(true) {
        Ok(size) => freed += size,
        Err(failure) => note(failure),
    }
    first.map_or(Ok(freed), Err)
}

/// Diff ids of a blob, if it is a configuration.
fn diff_ids(shelf: &Shelf, digest: &Digest) -> Result<Vec<Digest>, Error> {
    if shelf.blobs.size_of(digest)?.is_none_or(|size| size > DOCUMENT_LIMIT) {
        return Ok(Vec::new());
    }
    // A damaged blob is garbage like any other.
    let Ok(Some(bytes)) = shelf.blobs.read(digest, DOCUMENT_LIMIT) else { return Ok(Vec::new()) };
    if bytes.first() != Some(&b'{') {
        return Ok(Vec::new());
    }
    Ok(parse_config(&bytes, "").map(|config| config.rootfs.diff_ids).unwrap_or_default())
}
