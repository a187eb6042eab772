//! Manifests and indexes (OCI image spec, Docker schema 2), read strictly.

use std::collections::BTreeMap;

use bulkhead_types::{Digest, ErrorClass, Platform};
use serde::{Deserialize, Serialize};

use crate::model::Error;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const LAYERS: [&str; 6] = [
    LAYER,
    LAYER_GZIP,
    LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
];

/// Bytes of a manifest, index or configuration at most (the distribution spec's recommendation for registries).
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;
/// Layers of an image at most: the kernel takes 500 lower layers in one overlay.
const LAYER_LIMIT: usize = 500;

/// Points to content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Target>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

/// The platform of an index entry; more lenient than [`Platform`], since other systems' entries are skipped only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
}

impl Target {
    pub(crate) fn fits(&self, wanted: &Platform) -> bool {
        let variant = self.variant.clone().filter(|variant| !variant.is_empty());
        Platform { os: self.os.clone(), architecture: self.architecture.clone(), variant }.fits(wanted)
    }
}

/// An image manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// A list of manifests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

/// What a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

/// Only what tells the kinds apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    layers: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
}

fn refused(name: &str, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorClass::Invalid, format!("the manifest of {name} is refused: {why}"))
}

impl Document {
    /// Reads a document. `declared` is the media type that the sender gave, if any; a document that could be read in
    /// two ways is refused (CVE-2021-41190).
    pub(crate) fn parse(bytes: &[u8], declared: Option<&str>, name: &str) -> Result<Self, Error> {
        let outline: Outline = serde_json::from_slice(bytes).map_err(|cause| refused(name, cause))?;
        let declared = declared.map(|text| text.split(';').next().unwrap_or("").trim());
        if outline.schema_version == 1 || declared.is_some_and(|kind| kind.contains("distribution.manifest.v1+")) {
            return Err(Error::new(
                ErrorClass::Unsupported,
                format!(
                    "{name} is stored in Docker's schema 1, which cannot be verified and is no longer read: \
                     convert it once, for example with `skopeo copy --format oci`, and push it again"
                ),
            ));
        }
        if outline.schema_version != 2 {
            return Err(refused(name, format_args!("unknown schemaVersion {}", outline.schema_version)));
        }
        if outline.layers.is_some() && outline.manifests.is_some() {
            return Err(refused(name, "it claims to be both an image and an index"));
        }
        let index = outline.manifests.is_some();
        for kind in [declared.unwrap_or(""), &outline.media_type] {
            let fits = match kind {
                OCI_MANIFEST | DOCKER_MANIFEST => !index,
                OCI_INDEX | DOCKER_LIST => index,
                "" | "application/json" | "application/octet-stream" | "text/plain" => true,
                other => return Err(refused(name, format_args!("its media type {other:?} is not an image's"))),
            };
            if !fits {
                return Err(refused(name, format_args!("its media type {kind:?} contradicts its content")));
            }
        }
        if index {
            serde_json::from_slice(bytes).map(Self::Index).map_err(|cause| refused(name, cause))
        } else {
            let manifest: Manifest = serde_json::from_slice(bytes).map_err(|cause| refused(name, cause))?;
            manifest.check(name)?;
            Ok(Self::Manifest(manifest))
        }
    }

    /// As [`Document::parse`], for a document that must be an image manifest.
    pub(crate) fn image(bytes: &[u8], name: &str) -> Result<Manifest, Error> {
        match Self::parse(bytes, None, name)? {
            Self::Manifest(manifest) => Ok(manifest),
            Self::Index(_) => Err(refused(name, "it is an index where an image is expected")),
        }
    }
}

impl Manifest {
    /// A fresh OCI manifest.
    pub(crate) fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: OCI_MANIFEST.into(), config, layers }
    }

    fn check(&self, name: &str) -> Result<(), Error> {
        if !matches!(self.config.media_type.as_str(), OCI_CONFIG | DOCKER_CONFIG) {
            let kind = &self.config.media_type;
            return Err(refused(name, format_args!("it is no container image but {kind:?}")));
        }
        if self.config.size > DOCUMENT_LIMIT {
            return Err(refused(name, "its configuration is larger than 4 MiB"));
        }
        if self.layers.len() > LAYER_LIMIT {
            return Err(refused(name, format_args!("it has more than {LAYER_LIMIT} layers")));
        }
        for layer in &self.layers {
            let kind = layer.media_type.as_str();
            if kind.contains("foreign") || kind.contains("nondistributable") {
                return Err(refused(
                    name,
                    format_args!(
                        "layer {} may only be had from a place that the image names itself; such images (Windows) do \
                         not run here",
                        layer.digest
                    ),
                ));
            }
            if !LAYERS.contains(&kind) {
                return Err(refused(name, format_args!("layer {} has the unknown media type {kind:?}", layer.digest)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(letter: char) -> String {
        format!("sha256:{}", letter.to_string().repeat(64))
    }

    fn manifest(layer: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"{OCI_CONFIG}","digest":"{}","size":2}},
            "layers":[{{"mediaType":"{layer}","digest":"{}","size":3}}]}}"#,
            hex('a'),
            hex('b')
        )
    }

    fn message(text: &str, declared: Option<&str>) -> String {
        Document::parse(text.as_bytes(), declared, "x").unwrap_err().message
    }

    #[test]
    fn reads_images_and_indexes() {
        assert!(Document::image(manifest(LAYER_GZIP).as_bytes(), "x").is_ok());
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(matches!(Document::parse(index.as_bytes(), Some(DOCKER_LIST), "x"), Ok(Document::Index(_))));
    }

    #[test]
    fn refuses_what_is_ambiguous_old_or_foreign() {
        let both = r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#;
        assert!(message(both, None).contains("both"));
        assert!(message(&manifest(LAYER), Some(OCI_INDEX)).contains("contradicts"));
        assert!(message(&manifest(LAYER), Some("text/html")).contains("text/html"));
        assert!(message(r#"{"schemaVersion":1}"#, None).contains("skopeo"));
        assert!(
            message(&manifest("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), None).contains("Windows")
        );
        assert!(message(&manifest("application/x-thing"), None).contains("x-thing"));
        assert!(message(&manifest(LAYER).replace(":3", ":-3"), None).contains("refused"));
    }
}
