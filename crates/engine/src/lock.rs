//! Lock files: which digest each name of an image meant, so that another machine takes exactly that.
//!
//! One line for each image, `reference digest`, split by a space; empty lines and lines that begin with `#` are skipped.

use std::fmt;

use bulkhead_image::Progress;
use bulkhead_types::{Digest, ImageRef};

use crate::engine::Engine;
use crate::image_parts::parse_reference;
use crate::model::{Error, PulledImage, Result};

/// A line of a lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The name, complete with its registry.
    pub reference: ImageRef,
    /// Of the manifest.
    pub digest: Digest,
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.reference, self.digest)
    }
}

impl Locked {
    /// The lines of a lock file.
    ///
    /// # Errors
    /// The first line that is none, with its number.
    pub fn parse_all(text: &str) -> Result<Vec<Self>> {
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(at, line)| parse(at, line)).collect()
    }

    fn pinned(&self) -> Result<ImageRef> {
        let reference = &self.reference;
        parse_reference(&format!("{}/{}@{}", reference.registry(), reference.repository(), self.digest))
    }
}

fn parse(at: usize, line: &str) -> Result<Locked> {
    let bad = |why: &str| Error::invalid(format!("line {at} of the lock file is no `reference digest`: {why}"));
    let (name, digest) = line.split_once(' ').ok_or_else(|| bad("there is no space in it"))?;
    let reference: ImageRef = name.parse().map_err(|_| bad(&format!("{name:?} names no image")))?;
    let digest: Digest = digest.trim().parse().map_err(|_| bad(&format!("{digest:?} is no digest")))?;
    if reference.digest().is_some_and(|own| *own != digest) {
        return Err(bad("its two digests differ"));
    }
    Ok(Locked { reference, digest })
}

impl Engine {
    /// What a name means here and now.
    ///
    /// # Errors
    /// `NotFound`; if it is an id and no name, or the image was made here, so that no registry has it under this name.
    pub fn lock(&self, name: &str) -> Result<Locked> {
        let image = self.known_image(name)?;
        let reference = parse_reference(name).ok().filter(|reference| image.references.contains(reference));
        let reference =
            reference.ok_or_else(|| Error::invalid(format!("{name} is an id: give the name of the image to lock")))?;
        let place = |one: &ImageRef| (one.registry().to_owned(), one.repository().to_owned());
        let fetched = image.references.iter().any(|one| one.digest().is_some() && place(one) == place(&reference));
        if !fetched && reference.registry() == "docker.io" {
            let cure = "push it to a registry under another name and lock that name";
            return Err(Error::invalid(format!("{name} was made here, so nobody can pull it by its digest: {cure}")));
        }
        Ok(Locked { reference, digest: image.manifest })
    }

    /// Fetches exactly what was locked, and gives it the name that it was locked under.
    ///
    /// # Errors
    /// The registry's answer in words.
    pub fn pull_locked(&self, locked: &Locked, progress: &dyn Progress) -> Result<PulledImage> {
        let pinned = locked.pinned()?;
        let pulled = self.pull(&pinned, None, progress)?;
        if locked.reference.digest().is_none() {
            self.tag(&pinned.to_string(), &locked.reference)?;
        }
        Ok(PulledImage { reference: locked.reference.clone(), ..pulled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        let hex = "ab".repeat(32);
        let text = format!("# locked\n\nlocalhost:5000/team/app:1 sha256:{hex}\ndebian:12  sha256:{hex}\n");
        let all = Locked::parse_all(&text).unwrap();
        assert_eq!(all.len(), 2);
        let again: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(Locked::parse_all(&again.join("\n")).unwrap(), all);
        assert!(all[1].pinned().unwrap().to_string().ends_with(&format!("debian@sha256:{hex}")));
    }

    #[test]
    fn a_bad_line_is_named() {
        let hex = "ab".repeat(32);
        for line in ["app", "app sha256:ab", "App! x", &format!("app@sha256:{} sha256:{hex}", "cd".repeat(32))] {
            let error = Locked::parse_all(&format!("a sha256:{hex}\n{line}")).unwrap_err();
            assert!(error.to_string().contains("line 2"), "{error}");
        }
    }
}
