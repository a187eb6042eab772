//! One HTTP exchange with words for what goes wrong: our resolver, system roots loaded when first needed, time limits
//! on silence rather than on the whole transfer, no redirect followed by itself.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_types::ErrorClass;
use ureq::http::{Request, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{AsSendBody, Body};

use super::dns;
use crate::model::Error;

const CONNECT_TIME: Duration = Duration::from_secs(20);
/// Silence on a connection that ends it.
const SILENCE: Duration = Duration::from_secs(60);
/// Where administrators put the authorities of private registries, for Docker and for us.
const REGISTRY_ROOTS: &str = "/etc/docker/certs.d";

/// A failed exchange.
#[derive(Debug)]
pub(crate) struct Failure {
    /// In words.
    pub(crate) error: Error,
    /// Whether trying again may help, and after how long at least.
    pub(crate) retry: Option<Duration>,
}

impl Failure {
    pub(crate) fn lasting(error: Error) -> Self {
        Self { error, retry: None }
    }

    pub(crate) fn passing(error: Error) -> Self {
        Self { error, retry: Some(Duration::ZERO) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::lasting(error)
    }
}

#[derive(Debug)]
struct StubResolver;

impl Resolver for StubResolver {
    fn resolve(&self, uri: &Uri, _: &ureq::config::Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let found = dns::lookup(host).map_err(|why| ureq::Error::Other(why.into()))?;
        let mut addresses = self.empty();
        for address in found {
            addresses.push(SocketAddr::from((address, port)));
        }
        Ok(addresses)
    }
}

/// A connection pool for one registry.
pub(crate) struct Http {
    agent: ureq::Agent,
}

impl Http {
    /// For plain HTTP (loopback only): no certificates are loaded.
    pub(crate) fn plain() -> Self {
        // A proxy never stands between us and this machine.
        Self::build(ureq::Agent::config_builder().proxy(None))
    }

    /// For signed content that may be fetched from anywhere, by proxy too.
    fn signed() -> Self {
        Self::build(ureq::Agent::config_builder())
    }

    /// For TLS with the system's authorities and those configured for this registry.
    pub(crate) fn tls(registry: &str) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots(registry)?)))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        Ok(Self::build(ureq::Agent::config_builder().tls_config(tls)))
    }

    fn build(builder: ureq::config::ConfigBuilder<ureq::typestate::AgentScope>) -> Self {
        let config = builder
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIME))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .user_agent(concat!("bulkhead/", env!("CARGO_PKG_VERSION")))
            .max_response_header_size(64 << 10)
            .max_idle_connections_per_host(8)
            .build();
        Self { agent: ureq::Agent::with_parts(config, DefaultConnector::default(), StubResolver) }
    }

    /// One request, one answer, whatever its status.
    pub(crate) fn send(&self, request: Request<impl AsSendBody>) -> Result<Response<Body>, Failure> {
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        self.agent.run(request).map_err(|cause| explain(&cause, &host))
    }
}

/// Fetches a document whose signature the caller verifies, so that plain HTTP will do.
pub(crate) fn fetch(address: &str, limit: u64) -> Result<Vec<u8>, Error> {
    let refused = |why: &str| unavailable(format!("{address} cannot be fetched: {why}"));
    let mut uri: Uri = address.parse().map_err(|_| refused("it is no address"))?;
    for _ in 0..5 {
        let http = match uri.scheme_str() {
            Some("http") => Http::signed(),
            Some("https") => Http::tls(uri.host().unwrap_or(""))?,
            _ => return Err(refused("it is neither http: nor https:")),
        };
        let request = Request::builder().uri(&uri).body(()).map_err(|_| refused("it is no address"))?;
        let answer = http.send(request).map_err(|failure| failure.error)?;
        let location = answer.headers().get("location").and_then(|to| to.to_str().ok());
        if answer.status().is_redirection() {
            uri = location.and_then(|to| join(&uri, to)).ok_or_else(|| refused("it is redirected nowhere"))?;
            continue;
        }
        if !answer.status().is_success() {
            return Err(refused(&format!("the server says {}", answer.status())));
        }
        let mut bytes = Vec::new();
        let mut body = answer.into_body().into_reader().take(limit + 1);
        body.read_to_end(&mut bytes).map_err(|cause| explain_io(&cause, address).error)?;
        if bytes.len() as u64 > limit {
            return Err(refused("it is larger than such a document can be"));
        }
        return Ok(bytes);
    }
    Err(refused("too many redirects"))
}

/// Certificates of the system (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured) and of `certs.d`.
fn roots(registry: &str) -> Result<Vec<Certificate<'static>>, Error> {
    let system = rustls_native_certs::load_native_certs();
    let mut found: Vec<Certificate<'static>> =
        system.certs.iter().map(|der| Certificate::from_der(der.as_ref()).to_owned()).collect();
    // The registry's name was parsed as host[:port]: it holds no slash and is not "..".
    let private = Path::new(REGISTRY_ROOTS).join(registry);
    if let Ok(entries) = std::fs::read_dir(&private) {
        for path in
            entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "crt"))
        {
            let pem =
                std::fs::read(&path).map_err(|cause| Error::io(format_args!("reading {}", path.display()), &cause))?;
            found.extend(parse_pem(&pem).flatten().filter_map(|item| match item {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            }));
        }
    }
    if found.is_empty() {
        return Err(Error::new(
            ErrorClass::Unsupported,
            "no certificate authorities were found on this system: `apt-get install ca-certificates`, or name a file \
             with SSL_CERT_FILE",
        ));
    }
    Ok(found)
}

fn unavailable(text: String) -> Error {
    Error::new(ErrorClass::Unavailable, text)
}

fn explain(cause: &ureq::Error, host: &str) -> Failure {
    match cause {
        ureq::Error::Io(io) => explain_io(io, host),
        ureq::Error::Timeout(which) => Failure::passing(unavailable(format!(
            "{host} did not answer in time ({which}): check the network, or HTTPS_PROXY if there is a proxy"
        ))),
        ureq::Error::Other(why) => {
            Failure::passing(unavailable(format!("{host}: {why}: check the name and /etc/resolv.conf")))
        }
        ureq::Error::HostNotFound => Failure::lasting(unavailable(format!("the name {host} does not exist"))),
        ureq::Error::Rustls(tls) => Failure::lasting(explain_tls(tls, host)),
        ureq::Error::Protocol(_) => {
            Failure::passing(unavailable(format!("{host} does not speak HTTP properly: {cause}")))
        }
        other => Failure::lasting(unavailable(format!("{host}: {other}"))),
    }
}

/// A failed read or write; TLS errors arrive here too, wrapped.
pub(crate) fn explain_io(cause: &std::io::Error, host: &str) -> Failure {
    if let Some(tls) = cause.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>()) {
        return Failure::lasting(explain_tls(tls, host));
    }
    if let Some(nested) = cause.get_ref().and_then(|source| source.downcast_ref::<ureq::Error>())
        && !matches!(nested, ureq::Error::Io(_))
    {
        return explain(nested, host);
    }
    let text = match cause.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            format!("nothing listens at {host} (connection refused): check the name and the port")
        }
        std::io::ErrorKind::NetworkUnreachable | std::io::ErrorKind::HostUnreachable => {
            format!("{host} cannot be reached from this machine: check the network")
        }
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => {
            format!("{host} closed the connection: {cause}")
        }
        _ => format!("{host}: {cause}"),
    };
    Failure::passing(unavailable(text))
}

fn explain_tls(cause: &rustls::Error, host: &str) -> Error {
    let text = match cause {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => format!(
            "the certificate of {host} is signed by an authority that this system does not know: put that \
             authority's certificate into {REGISTRY_ROOTS}/{host}/ca.crt or name it with SSL_CERT_FILE"
        ),
        rustls::Error::InvalidCertificate(why) => format!("the certificate of {host} is not valid: {why}"),
        rustls::Error::InvalidMessage(_) => {
            format!("{host} does not speak TLS: plain HTTP is only spoken to this machine itself")
        }
        other => format!("TLS with {host} failed: {other}"),
    };
    unavailable(text)
}

/// Resolves a `Location` against the address it came from.
pub(crate) fn join(from: &Uri, location: &str) -> Option<Uri> {
    let scheme = from.scheme_str()?;
    let authority = from.authority()?;
    let text = if location.starts_with("http://") || location.starts_with("https://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let directory = from.path().rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("{scheme}://{authority}{directory}/{location}")
    };
    text.parse().ok()
}

/// Scheme, host and port: what credentials belong to.
pub(crate) fn same_origin(a: &Uri, b: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    a.scheme() == b.scheme() && a.host() == b.host() && port(a) == port(b)
}

/// True for this machine's own addresses, the only ones that plain HTTP is spoken to.
pub(crate) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or("").trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_locations_and_knows_origins() {
        let from: Uri = "https://r.test:5000/v2/a/blobs/uploads/".parse().unwrap();
        let to = |location: &str| join(&from, location).unwrap().to_string();
        assert_eq!(to("/v2/x?y=1"), "https://r.test:5000/v2/x?y=1");
        assert_eq!(to("http://other.test/x"), "http://other.test/x");
        assert_eq!(to("//other.test/x"), "https://other.test/x");
        assert_eq!(to("u?z"), "https://r.test:5000/v2/a/blobs/uploads/u?z");
        let same = |a: &str, b: &str| same_origin(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("https://a/x", "https://a:443/y"));
        assert!(!same("https://a/x", "http://a/x") && !same("https://a/x", "https://a:444/x"));
        assert!(!same("https://a/x", "https://a.evil/x"));
        assert!(is_loopback(&"http://[::1]:5/x".parse().unwrap()));
        assert!(!is_loopback(&"http://127.0.0.1.evil.test/".parse().unwrap()));
    }
}
