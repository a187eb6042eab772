//! `image base debian`.

use bulkhead_image::{DebianBase, Progress};

use crate::engine::Engine;
use crate::image_parts::parse_reference;
use crate::model::{Error, PulledImage, Result};
use crate::request::BaseRequest;

impl Engine {
    /// A Debian base image from the signed archive.
    ///
    /// # Errors
    /// If mmdebstrap is missing, or the archive is not signed by a known key.
    pub fn image_base_debian(&self, request: &BaseRequest, progress: &dyn Progress) -> Result<PulledImage> {
        if request.suite.is_empty() {
            return Err(Error::invalid("image base debian: name a suite, for example bookworm"));
        }
        let name = request.reference.clone().unwrap_or_else(|| format!("debian:{}", request.suite));
        let reference = parse_reference(&name)?;
        let before = self.image_store.find(&name)?.map(|image| image.id);
        let base = DebianBase {
            suite: request.suite.clone(),
            mirror: request.mirror.clone(),
            keyring: request.keyring.clone(),
            include: request.include.clone(),
            variant: request.variant.clone(),
        };
        let image = self.image_store.debian_base(&base, &reference, &self.layer_sink(), progress)?;
        self.tell_of("image", "import", &image.id.to_string(), &[("name", reference.familiar())]);
        Ok(PulledImage { changed: before.as_ref() != Some(&image.id), id: image.id, digest: image.manifest, reference })
    }
}
