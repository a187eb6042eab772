//! A registry in a few lines that can misbehave in every way.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bulkhead_archive::hash::Hasher;
use bulkhead_types::Digest;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What to answer.
#[derive(Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Closes the connection after so many bytes of the body.
    pub cut: Option<usize>,
    /// Sends the body chunked, again and again.
    pub endless: bool,
    /// Pause after every 16 KiB.
    pub slow: Option<Duration>,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn send(&self, out: &mut TcpStream, head: bool) -> std::io::Result<()> {
        write!(out, "HTTP/1.1 {} X\r\nConnection: close\r\n", self.status)?;
        for (name, value) in &self.headers {
            write!(out, "{name}: {value}\r\n")?;
        }
        if self.endless {
            write!(out, "Transfer-Encoding: chunked\r\n\r\n")?;
            loop {
                write!(out, "{:x}\r\n", self.body.len())?;
                out.write_all(&self.body)?;
                write!(out, "\r\n")?;
            }
        }
        write!(out, "Content-Length: {}\r\n\r\n", self.body.len())?;
        if head {
            return Ok(());
        }
        let end = self.cut.unwrap_or(self.body.len()).min(self.body.len());
        for chunk in self.body[..end].chunks(16 << 10) {
            out.write_all(chunk)?;
            if let Some(pause) = self.slow {
                std::thread::sleep(pause);
            }
        }
        out.flush()
    }
}

type Handler = dyn Fn(&Request) -> Answer + Send + Sync;

/// A server that lives as long as the test's process.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (log, handler): (_, Arc<Handler>) = (seen.clone(), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, handler) = (log.clone(), handler.clone());
                std::thread::spawn(move || serve(stream, &log, &handler));
            }
        });
        Self { address, seen }
    }

    pub fn requests(&self, part: &str) -> Vec<Request> {
        self.seen.lock().unwrap().iter().filter(|request| request.path.contains(part)).cloned().collect()
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Request>>, handler: &Arc<Handler>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0u8; length];
    reader.read_exact(&mut body).ok()?;
    let request = Request { method, path, headers, body: String::from_utf8_lossy(&body).into_owned() };
    log.lock().unwrap().push(request.clone());
    handler(&request).send(&mut stream, request.method == "HEAD").ok()
}

/// Content of a repository `app`.
#[derive(Clone, Default)]
pub struct Content {
    pub manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub blobs: BTreeMap<String, Vec<u8>>,
}

impl Content {
    /// All of an image in a store's directory, under the tag `v`.
    pub fn of(root: &std::path::Path, image: &bulkhead_image::Image) -> Self {
        let read = |digest: &Digest| std::fs::read(root.join("images/blobs/sha256").join(digest.hex())).unwrap();
        let mut content = Self::default();
        let manifest = read(&image.manifest);
        for name in ["v".to_owned(), image.manifest.to_string()] {
            let kind = "application/vnd.oci.image.manifest.v1+json".to_owned();
            content.manifests.insert(name, (kind, manifest.clone()));
        }
        for digest in image.layers.iter().map(|layer| &layer.digest).chain([&image.id]) {
            content.blobs.insert(digest.to_string(), read(digest));
        }
        content
    }

    /// Replaces the manifest of the tag `v`.
    pub fn retag(&mut self, manifest: &serde_json::Value) {
        let text = manifest.to_string().into_bytes();
        let kind = manifest["mediaType"].as_str().unwrap().to_owned();
        self.manifests.insert(Hasher::sha256(&text).to_string(), (kind.clone(), text.clone()));
        self.manifests.insert("v".into(), (kind, text));
    }

    pub fn manifest(&self) -> serde_json::Value {
        serde_json::from_slice(&self.manifests["v"].1).unwrap()
    }

    /// The honest answer.
    pub fn answer(&self, request: &Request) -> Answer {
        let path = request.path.split('?').next().unwrap_or("");
        if let Some(name) = path.strip_prefix("/v2/app/manifests/")
            && let Some((kind, bytes)) = self.manifests.get(name)
        {
            return Answer::new(200, bytes.clone()).with("Content-Type", kind);
        }
        if let Some(name) = path.strip_prefix("/v2/app/blobs/")
            && let Some(bytes) = self.blobs.get(name)
        {
            return match request.header("range").and_then(|range| range.strip_prefix("bytes=")) {
                Some(range) => {
                    let from: usize = range.trim_end_matches('-').parse().unwrap();
                    let text = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                    Answer::new(206, &bytes[from..]).with("Content-Range", &text)
                }
                None => Answer::new(200, bytes.clone()),
            };
        }
        match path {
            "/v2/" => Answer::new(200, "{}"),
            _ => Answer::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#),
        }
    }
}
