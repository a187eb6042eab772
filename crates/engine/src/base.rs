//! `image base debian`.

use bulkhead_image::Progress;

use crate::engine::Engine;
use crate::model::{Error, PulledImage, Result};
use crate::request::BaseRequest;

impl Engine {
    /// A Debian base image from the signed archive.
    ///
    /// # Errors
    /// If mmdebstrap is missing, or the archive is not signed by a known key.
    pub fn image_base_debian(&self, request: &BaseRequest, progress: &dyn Progress) -> Result<PulledImage> {
        let _ = (request, progress);
        Err(Error::unsupported("image base debian is not built yet"))
    }
}
