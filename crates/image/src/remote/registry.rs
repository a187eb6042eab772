//! A registry (OCI distribution spec 1.1, Docker registry v2): one repository, one set of rights.

use std::io::Read;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use bulkhead_types::{Digest, ErrorClass, ImageRef};
use ureq::http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use ureq::{AsSendBody, Body, SendBody};

use super::challenge::{self, Challenge, TokenAnswer};
use super::credentials::{self, Credentials};
use super::http::{Failure, Http, explain_io, is_loopback, join, same_origin};
use crate::manifest::{DOCKER_LIST, DOCKER_MANIFEST, DOCUMENT_LIMIT, OCI_INDEX, OCI_MANIFEST};
use crate::model::Error;

/// The host that serves the registry whose name is `docker.io`.
const DEFAULT_HOST: &str = "registry-1.docker.io";
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A server may ask for patience up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const REDIRECTS: u32 = 5;
const TOKEN_LIMIT: u64 = 1 << 20;
/// How much of an error's body is read and shown.
const ERROR_LIMIT: u64 = 16 << 10;

/// What is asked of the token server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

/// A repository at a registry.
pub(crate) struct Registry {
    http: Http,
    base: Uri,
    registry: String,
    repository: String,
    scopes: Vec<String>,
    explicit: Option<Credentials>,
    /// The `Authorization` header that worked last.
    ticket: Mutex<Option<String>>,
}

/// A document with the media type that the registry gave it.
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    pub(crate) media_type: Option<String>,
}

/// A request that can be sent again.
struct Call<'a> {
    method: Method,
    uri: Uri,
    headers: Vec<(header::HeaderName, String)>,
    body: &'a [u8],
}

impl Registry {
    /// Gets ready; nothing is sent yet, except that a registry on this machine is asked whether it speaks TLS.
    pub(crate) fn open(
        reference: &ImageRef,
        access: Access,
        explicit: Option<(String, String)>,
    ) -> Result<Self, Error> {
        let host = if reference.registry() == "docker.io" { DEFAULT_HOST } else { reference.registry() };
        let base = |scheme: &str| {
            format!("{scheme}://{host}").parse::<Uri>().map_err(|cause| {
                Error::new(ErrorClass::Invalid, format!("the registry {host} cannot be addressed: {cause}"))
            })
        };
        let (http, base) = if reference.is_loopback() && speaks_plain(&base("http")?) {
            (Http::plain(), base("http")?)
        } else {
            (Http::tls(reference.registry())?, base("https")?)
        };
        let actions = if access == Access::Push { "pull,push" } else { "pull" };
        Ok(Self {
            http,
            base,
            registry: reference.registry().to_owned(),
            repository: reference.repository().to_owned(),
            scopes: vec![format!("repository:{}:{actions}", reference.repository())],
            explicit: explicit.map(|(user, password)| Credentials::Basic(user, password)),
            ticket: Mutex::new(None),
        })
    }

    /// Also asks for the right to read these repositories of the same registry, for cross-repository mounts.
    pub(crate) fn also_read(&mut self, repositories: &[String]) {
        self.scopes.extend(repositories.iter().map(|name| format!("repository:{name}:pull")));
    }

    /// Host and repository, for messages.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    pub(crate) fn host(&self) -> &str {
        &self.registry
    }

    fn uri(&self, tail: &str) -> Result<Uri, Error> {
        let text = format!("{}v2/{}/{tail}", self.base, self.repository);
        text.parse().map_err(|cause| Error::new(ErrorClass::Invalid, format!("{text} is no address: {cause}")))
    }

    /// A manifest or index by tag or digest.
    pub(crate) fn manifest(&self, what: &str) -> Result<Fetched, Error> {
        let accept = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST].join(", ");
        let uri = self.uri(&format!("manifests/{what}"))?;
        let headers = vec![(header::ACCEPT, accept)];
        let answer = self.get(uri, headers)?;
        if answer.status() != StatusCode::OK {
            return Err(self.refusal(answer, &format!("{}:{what}", self.name())));
        }
        let media_type = text(answer.headers(), &header::CONTENT_TYPE);
        let bytes = self.read_all(answer, DOCUMENT_LIMIT, "manifest")?;
        Ok(Fetched { bytes, media_type })
    }

    /// A small blob, not verified yet.
    pub(crate) fn small_blob(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let answer = self.get(self.uri(&format!("blobs/{digest}"))?, Vec::new())?;
        if answer.status() != StatusCode::OK {
            return Err(self.refusal(answer, &format!("blob {digest} of {}", self.name())));
        }
        self.read_all(answer, DOCUMENT_LIMIT, "configuration")
    }

    /// A blob's stream from byte `from` on. A server that does not know ranges sends all: the second value says
    /// where the stream really begins. One attempt; the caller resumes.
    pub(crate) fn blob(&self, digest: &Digest, from: u64) -> Result<(Response<Body>, u64), Failure> {
        let mut headers = Vec::new();
        if from > 0 {
            headers.push((header::RANGE, format!("bytes={from}-")));
        }
        let call = Call { method: Method::GET, uri: self.uri(&format!("blobs/{digest}"))?, headers, body: &[] };
        let answer = self.once(&call)?;
        match answer.status() {
            StatusCode::OK => Ok((answer, 0)),
            StatusCode::PARTIAL_CONTENT => {
                let range = text(answer.headers(), &header::CONTENT_RANGE).unwrap_or_default();
                let begin = range.strip_prefix("bytes ").and_then(|rest| rest.split('-').next()).map(str::parse::<u64>);
                match begin {
                    Some(Ok(begin)) if begin == from => Ok((answer, from)),
                    _ => Err(Failure::lasting(self.odd(&format!("a wrong range ({range:?}) for blob {digest}")))),
                }
            }
            _ => Err(Failure::lasting(self.refusal(answer, &format!("blob {digest} of {}", self.name())))),
        }
    }

    /// Whether the repository has a blob.
    pub(crate) fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        let call =
            Call { method: Method::HEAD, uri: self.uri(&format!("blobs/{digest}"))?, headers: Vec::new(), body: &[] };
        let answer = self.patiently(&call)?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refusal(answer, &self.name())),
        }
    }

    /// Begins an upload, trying to take the blob over from another repository. `None`: it is there already.
    pub(crate) fn begin_upload(&self, digest: &Digest, from: Option<&str>) -> Result<Option<Uri>, Error> {
        let query = from.map_or_else(String::new, |from| {
            format!("?mount={}&from={}", challenge::encode(&digest.to_string()), challenge::encode(from))
        });
        let uri = self.uri(&format!("blobs/uploads/{query}"))?;
        let headers = vec![(header::CONTENT_LENGTH, "0".to_owned())];
        let answer = self.patiently(&Call { method: Method::POST, uri: uri.clone(), headers, body: &[] })?;
        match answer.status() {
            StatusCode::CREATED => Ok(None),
            StatusCode::ACCEPTED => {
                let location = text(answer.headers(), &header::LOCATION).and_then(|to| join(&uri, &to));
                let location = location.ok_or_else(|| self.odd("an upload without a place to send it to"))?;
                self.check_hop(&location)?;
                Ok(Some(location))
            }
            _ => Err(self.refusal(answer, &self.name())),
        }
    }

    /// Sends a blob's bytes to where [`Registry::begin_upload`] said. One attempt; the caller begins anew.
    pub(crate) fn upload(&self, to: &Uri, digest: &Digest, size: u64, source: &mut dyn Read) -> Result<(), Failure> {
        let separator = if to.query().is_some() { '&' } else { '?' };
        let uri: Uri = format!("{to}{separator}digest={}", challenge::encode(&digest.to_string()))
            .parse()
            .map_err(|_| Failure::lasting(self.odd("an upload address that is none")))?;
        let mut request = Request::builder()
            .method(Method::PUT)
            .uri(&uri)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, size);
        if let Some(ticket) = self.ticket_for(&uri) {
            request = request.header(header::AUTHORIZATION, ticket);
        }
        let answer = self.http.send(self.build(request, SendBody::from_reader(source))?)?;
        match answer.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::ACCEPTED => Ok(()),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                let retry = Some(pause_asked(answer.headers()).unwrap_or_default());
                Err(Failure { error: self.refusal(answer, &self.name()), retry })
            }
            _ => Err(Failure::lasting(self.refusal(answer, &self.name()))),
        }
    }

    /// Puts a manifest under a tag or digest.
    pub(crate) fn put_manifest(&self, what: &str, media_type: &str, bytes: &[u8]) -> Result<(), Error> {
        let headers =
            vec![(header::CONTENT_TYPE, media_type.to_owned()), (header::CONTENT_LENGTH, bytes.len().to_string())];
        let call = Call { method: Method::PUT, uri: self.uri(&format!("manifests/{what}"))?, headers, body: bytes };
        let answer = self.patiently(&call)?;
        match answer.status() {
            StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED => Ok(()),
            _ => Err(self.refusal(answer, &format!("{}:{what}", self.name()))),
        }
    }

    fn get(&self, uri: Uri, headers: Vec<(header::HeaderName, String)>) -> Result<Response<Body>, Error> {
        self.patiently(&Call { method: Method::GET, uri, headers, body: &[] })
    }

    /// As [`Registry::once`], again after passing failures.
    fn patiently(&self, call: &Call<'_>) -> Result<Response<Body>, Error> {
        retrying(|| self.once(call))
    }

    /// Sends a request, following redirects and answering one challenge.
    fn once(&self, call: &Call<'_>) -> Result<Response<Body>, Failure> {
        let mut uri = call.uri.clone();
        let mut challenged = false;
        let mut hops = 0;
        loop {
            let mut request = Request::builder().method(call.method.clone()).uri(&uri);
            for (name, value) in &call.headers {
                request = request.header(name, value);
            }
            // Credentials belong to the registry: a redirect's target never sees them.
            if let Some(ticket) = self.ticket_for(&uri) {
                request = request.header(header::AUTHORIZATION, ticket);
            }
            let answer = if call.body.is_empty() && call.method != Method::POST {
                self.http.send(self.build(request, ())?)?
            } else {
                self.http.send(self.build(request, call.body)?)?
            };
            let status = answer.status();
            if status == StatusCode::UNAUTHORIZED && !challenged && same_origin(&uri, &self.base) {
                challenged = true;
                self.answer_challenge(&answer)?;
            } else if status.is_redirection() && matches!(call.method, Method::GET | Method::HEAD) {
                hops += 1;
                let to = text(answer.headers(), &header::LOCATION).and_then(|to| join(&uri, &to));
                let to = to.filter(|_| hops <= REDIRECTS);
                uri = to.ok_or_else(|| Failure::lasting(self.odd("redirects that lead nowhere")))?;
                self.check_hop(&uri)?;
            } else if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                let retry = Some(pause_asked(answer.headers()).unwrap_or_default());
                return Err(Failure { error: self.refusal(answer, &self.name()), retry });
            } else {
                return Ok(answer);
            }
        }
    }

    fn build<B: AsSendBody>(&self, request: ureq::http::request::Builder, body: B) -> Result<Request<B>, Failure> {
        request.body(body).map_err(|cause| Failure::lasting(self.odd(&format!("an impossible request ({cause})"))))
    }

    /// Where the registry sends us must be TLS, or this machine if the registry is on this machine.
    fn check_hop(&self, uri: &Uri) -> Result<(), Error> {
        let allowed = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => is_loopback(&self.base) && is_loopback(uri),
            _ => false,
        };
        if allowed {
            return Ok(());
        }
        Err(Error::new(
            ErrorClass::Denied,
            format!("{} redirects to {uri}, which is not encrypted: refused", self.registry),
        ))
    }

    fn ticket_for(&self, uri: &Uri) -> Option<String> {
        if !same_origin(uri, &self.base) {
            return None;
        }
        self.ticket.lock().ok()?.clone()
    }

    /// Gets what a 401 asks for.
    fn answer_challenge(&self, answer: &Response<Body>) -> Result<(), Failure> {
        let challenges: Vec<Challenge> = answer
            .headers()
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(challenge::parse)
            .collect();
        let known = match &self.explicit {
            Some(given) => Some(given.clone()),
            None => credentials::lookup(&self.registry)?,
        };
        let find = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let ticket = match (find("bearer"), find("basic"), &known) {
            (Some(_), _, Some(Credentials::Bearer(token))) => format!("Bearer {token}"),
            (Some(bearer), _, known) => format!("Bearer {}", self.token(bearer, known.as_ref())?),
            (None, Some(_), Some(Credentials::Basic(user, password))) => basic(user, password),
            _ => return Err(Failure::lasting(self.denied(&self.name(), ""))),
        };
        if let Ok(mut place) = self.ticket.lock() {
            *place = Some(ticket);
        }
        Ok(())
    }

    /// Asks the token server (distribution spec, "token authentication").
    fn token(&self, bearer: &Challenge, known: Option<&Credentials>) -> Result<String, Failure> {
        let get = |name: &str| bearer.parameters.get(name).map_or("", String::as_str);
        let realm: Uri = get("realm").parse().map_err(|_| Failure::lasting(self.odd("no token server's address")))?;
        self.check_hop(&realm)?;
        let mut fields = Vec::new();
        if !get("service").is_empty() {
            fields.push(format!("service={}", challenge::encode(get("service"))));
        }
        let asked = get("scope");
        let extra = Some(asked).filter(|scope| !scope.is_empty() && !self.scopes.iter().any(|ours| ours == scope));
        let all = self.scopes.iter().map(String::as_str).chain(extra);
        let answer = if let Some(Credentials::Identity(identity)) = known {
            fields.push(format!("scope={}", challenge::encode(&all.collect::<Vec<_>>().join(" "))));
            fields.push(format!(
                "grant_type=refresh_token&client_id=bulkhead&refresh_token={}",
                challenge::encode(identity)
            ));
            let form = fields.join("&");
            let request = Request::builder()
                .method(Method::POST)
                .uri(&realm)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            self.http.send(self.build(request, form.as_bytes())?)?
        } else {
            fields.extend(all.map(|scope| format!("scope={}", challenge::encode(scope))));
            let separator = if realm.query().is_some() { '&' } else { '?' };
            let mut request = Request::builder().uri(format!("{realm}{separator}{}", fields.join("&")));
            if let Some(Credentials::Basic(user, password)) = known {
                request = request.header(header::AUTHORIZATION, basic(user, password));
            }
            self.http.send(self.build(request, ())?)?
        };
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                return Err(Failure::lasting(self.refusal(answer, &self.name())));
            }
            _ => return Err(Failure::passing(self.refusal(answer, &self.name()))),
        }
        let bytes = self.read_all(answer, TOKEN_LIMIT, "token")?;
        let token = serde_json::from_slice::<TokenAnswer>(&bytes).ok().and_then(TokenAnswer::token);
        token.ok_or_else(|| Failure::lasting(self.odd("a token server's answer without a token")))
    }

    fn read_all(&self, answer: Response<Body>, limit: u64, what: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut reader = answer.into_body().into_reader().take(limit + 1);
        reader.read_to_end(&mut bytes).map_err(|cause| explain_io(&cause, &self.registry).error)?;
        if bytes.len() as u64 > limit {
            return Err(self.odd(&format!("a {what} larger than {limit} bytes")));
        }
        Ok(bytes)
    }

    fn odd(&self, what: &str) -> Error {
        Error::new(ErrorClass::Unavailable, format!("the registry {} answered with {what}", self.registry))
    }

    fn denied(&self, what: &str, said: &str) -> Error {
        let text = format!(
            "access to {what} is denied{said}: the repository does not exist or needs credentials, which belong into \
             ~/.docker/config.json (`docker login {0}` or `skopeo login {0}` writes them)",
            self.registry
        );
        Error::new(ErrorClass::Denied, text)
    }

    /// A refusing answer in words.
    fn refusal(&self, answer: Response<Body>, what: &str) -> Error {
        let status = answer.status();
        let mut bytes = Vec::new();
        // An unreadable explanation is no explanation.
        drop(answer.into_body().into_reader().take(ERROR_LIMIT).read_to_end(&mut bytes));
        let said = said(&bytes).map_or_else(String::new, |said| format!(" ({said})"));
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.denied(what, &said),
            StatusCode::NOT_FOUND => Error::new(
                ErrorClass::NotFound,
                format!("{what} does not exist at {}{said}: check the name and the tag", self.registry),
            ),
            StatusCode::TOO_MANY_REQUESTS => Error::new(
                ErrorClass::Unavailable,
                format!("{} limits its requests{said}: wait, or log in for a higher limit", self.registry),
            ),
            _ => Error::new(ErrorClass::Unavailable, format!("{} answered {status}{said} for {what}", self.registry)),
        }
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// `Retry-After` in seconds.
fn pause_asked(headers: &HeaderMap) -> Option<Duration> {
    let seconds = text(headers, &header::RETRY_AFTER)?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// The first message of a registry's error document, as one printable line.
fn said(bytes: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let first = &value["errors"][0];
    let text = first["message"].as_str().filter(|text| !text.is_empty()).or_else(|| first["code"].as_str());
    let text = text.or_else(|| value["details"].as_str()).or_else(|| value["message"].as_str())?;
    Some(text.chars().filter(|c| !c.is_control()).take(300).collect())
}

/// Whether the registry on this machine speaks plain HTTP. A TLS server answers such a request with 400 or garbage.
fn speaks_plain(base: &Uri) -> bool {
    let Ok(request) = Request::builder().uri(format!("{base}v2/")).body(()) else { return false };
    match Http::plain().send(request) {
        Ok(answer) => answer.status() != StatusCode::BAD_REQUEST,
        // Nobody listens: let the real request say so.
        Err(failure) => failure.error.message.contains("refused"),
    }
}

/// Pause before attempt `number` (from 1): doubling, or as long as the server asked.
pub(crate) fn pause(number: u32, asked: Duration) -> Duration {
    (FIRST_PAUSE * 2u32.saturating_pow(number.saturating_sub(1))).max(asked).min(LONGEST_PAUSE)
}

/// Tries up to five times while failures are passing.
pub(crate) fn retrying<T>(mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T, Error> {
    let mut number = 1;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(Failure { retry: Some(asked), .. }) if number < ATTEMPTS => std::thread::sleep(pause(number, asked)),
            Err(failure) => return Err(failure.error),
        }
        number += 1;
    }
}
