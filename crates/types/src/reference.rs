//! Image references in Docker's grammar (`distribution/reference`): `[registry/]repository[:tag][@digest]`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestError};

/// Where a reference without a registry points.
const DEFAULT_REGISTRY: &str = "docker.io";
/// The namespace of official images there.
const OFFICIAL: &str = "library";

/// Why a text is no image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Empty, or longer than 255 characters before tag and digest.
    #[error("invalid reference format: {0:?} is empty or too long")]
    Length(String),
    /// A path component outside `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
    #[error("invalid reference format: repository name {0:?} must be lowercase letters, digits and single separators")]
    Repository(String),
    /// A tag outside `[\w][\w.-]{0,127}`.
    #[error("invalid reference format: tag {0:?}")]
    Tag(String),
    /// A registry that is no host[:port].
    #[error("invalid reference format: registry {0:?}")]
    Registry(String),
    /// A bad digest.
    #[error("invalid reference format: {0}")]
    Digest(#[from] DigestError),
}

/// A fully qualified image reference: the registry and at least a tag or a digest are always present.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageRef {
    /// `docker.io`, `localhost:5000`, …
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// `library/debian`, `team/app`, …
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` was filled in if neither tag nor digest was given.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if the reference is pinned.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository with another tag and no digest.
    ///
    /// # Errors
    /// If the tag is malformed.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        check_tag(tag)?;
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The name without tag and digest, shortened as Docker shows it (`debian`, `localhost:5000/app`).
    #[must_use]
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return format!("{}/{}", self.registry, self.repository);
        }
        match self.repository.strip_prefix("library/") {
            Some(official) if !official.contains('/') => official.to_owned(),
            _ => self.repository.clone(),
        }
    }

    /// Name with tag or digest, shortened as Docker shows it (`debian:latest`).
    #[must_use]
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_name();
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
        text
    }

    /// True if plain HTTP may be spoken to this registry: a loopback address or `localhost`, nothing else.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = match self.registry.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(""),
            None => self.registry.split(':').next().unwrap_or(""),
        };
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

fn check_tag(tag: &str) -> Result<(), ReferenceError> {
    let mut bytes = tag.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if first && rest && tag.len() <= 128 { Ok(()) } else { Err(ReferenceError::Tag(tag.to_owned())) }
}

fn component_ok(component: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    if !alnum(first) || !alnum(last) {
        return false;
    }
    // Separators between runs of letters and digits: one dot, one or two underscores, any number of dashes.
    component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

fn check_registry(registry: &str) -> Result<(), ReferenceError> {
    let bad = || ReferenceError::Registry(registry.to_owned());
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => {
            let (address, tail) = rest.split_once(']').ok_or_else(bad)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?;
            match tail {
                "" => return Ok(()),
                tail => ("v6", tail.strip_prefix(':').map(Some).ok_or_else(bad)?),
            }
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let port_ok = port.is_none_or(|port| port.parse::<u16>().is_ok());
    if host.split('.').all(label) && port_ok { Ok(()) } else { Err(bad()) }
}

impl FromStr for ImageRef {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() || text.len() > 512 {
            return Err(ReferenceError::Length(text.to_owned()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let (name, tag) = match rest.rfind(':') {
            Some(at) if !rest[at..].contains('/') => (&rest[..at], Some(&rest[at + 1..])),
            _ => (rest, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((first, path))
                if first.contains('.')
                    || first.contains(':')
                    || first == "localhost"
                    || first.contains(|c: char| c.is_ascii_uppercase()) =>
            {
                (first, path)
            }
            _ => (DEFAULT_REGISTRY, name),
        };
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        check_registry(registry)?;
        if path.is_empty() || path.len() > 255 || !path.split('/').all(component_ok) {
            return Err(ReferenceError::Repository(path.to_owned()));
        }
        let repository = if registry == DEFAULT_REGISTRY && !path.contains('/') {
            format!("{OFFICIAL}/{path}")
        } else {
            path.to_owned()
        };
        let tag = match (tag, &digest) {
            (Some(tag), _) => {
                check_tag(tag)?;
                Some(tag.to_owned())
            }
            (None, Some(_)) => None,
            (None, None) => Some("latest".to_owned()),
        };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

impl TryFrom<String> for ImageRef {
    type Error = ReferenceError;
    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(reference: ImageRef) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(text: &str) -> String {
        text.parse::<ImageRef>().unwrap().to_string()
    }

    #[test]
    fn fills_in_what_docker_fills_in() {
        assert_eq!(full("debian"), "docker.io/library/debian:latest");
        assert_eq!(full("team/app:1"), "docker.io/team/app:1");
        assert_eq!(full("localhost:5000/app"), "localhost:5000/app:latest");
        assert_eq!(full("[::1]:5000/app:x"), "[::1]:5000/app:x");
        let pinned = format!("app@sha256:{}", "a".repeat(64));
        assert_eq!(full(&pinned), format!("docker.io/library/{pinned}"));
        assert_eq!("debian".parse::<ImageRef>().unwrap().familiar(), "debian:latest");
    }

    #[test]
    fn refuses_what_docker_refuses() {
        for bad in [
            "",
            "UPPER",
            "a//b",
            "a:",
            "a:-x",
            "../etc/passwd",
            "a/../b",
            "a b",
            "a@sha256:00",
            "-a",
            "a..b",
            "a/b/",
            "ho st.com/a",
            "host.com:99999/a",
        ] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        let loopback = |text: &str| text.parse::<ImageRef>().unwrap().is_loopback();
        assert!(loopback("localhost:5000/a") && loopback("127.0.0.1:5000/a") && loopback("[::1]:5000/a"));
        assert!(!loopback("127.0.0.1.evil.com/a") && !loopback("debian") && !loopback("10.0.0.1:5000/a"));
    }
}
