//! Pull: name to manifest, manifest to configuration and layers, everything verified, the name written last.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use bulkhead_archive::hash::Hasher;
use bulkhead_types::{Digest, ErrorClass, ImageRef, Platform};

use crate::blobs::Partial;
use crate::config::ImageConfig;
use crate::growing::Growing;
use crate::layers::{Source, Work};
use crate::manifest::{DOCUMENT_LIMIT, Document, Index, Manifest};
use crate::model::{Error, Image, Layer, LayerSink, Progress, PullOptions, StagedLayer};
use crate::refs::{canonical, pinned};
use crate::remote::{Access, Failure, Registry, explain_io, pause};
use crate::shelf::{Shelf, pair, parse_config};

/// An index may point to an index, and that to an image; no deeper.
const INDEX_DEPTH: u32 = 2;
/// Attempts in a row that bring no byte.
const FRUITLESS: u32 = 5;
const BUFFER: usize = 256 << 10;
const REPORT: Duration = Duration::from_millis(80);

/// A manifest that was found and verified.
struct Found {
    manifest: Manifest,
    bytes: Vec<u8>,
    digest: Digest,
    /// What the name itself leads to: the index, or the manifest.
    top: Digest,
}

pub(crate) fn pull(
    shelf: &Shelf,
    reference: &ImageRef,
    options: &PullOptions,
    sink: &dyn LayerSink,
    progress: &dyn Progress,
) -> Result<Image, Error> {
    let _holding = shelf.hold()?;
    let registry = Registry::open(reference, Access::Pull, options.credentials.clone())?;
    let version = reference.tag().map_or_else(|| reference.digest().map(Digest::to_string), |tag| Some(tag.to_owned()));
    let version = version.unwrap_or_default();
    progress.update("", &format!("{version}: Pulling from {}", reference.repository()), 0, 0);
    let found = resolve(&registry, reference, &options.platform)?;
    let config_bytes = configuration(shelf, &registry, &found.manifest)?;
    let name = reference.familiar();
    let config = parse_config(&config_bytes, &name)?;
    check_platform(&config, &options.platform, &name)?;
    let layers = pair(&found.manifest, &config, &name)?;
    Work::new(shelf, sink, progress).run(&layers, &Remote { registry: &registry })?;
    let id = &found.manifest.config.digest;
    shelf.blobs.put_as(&config_bytes, id)?;
    shelf.blobs.put_as(&found.bytes, &found.digest)?;
    let mut names = vec![canonical(reference)];
    names.extend(pinned(reference, &found.top));
    let image = shelf.register(&found.digest, id, &names)?;
    progress.update("", &format!("Digest: {}", found.top), 0, 0);
    Ok(image)
}

/// Digest of a document; it must be `wanted` if one is given.
fn verified(bytes: &[u8], wanted: Option<&Digest>, what: &str) -> Result<Digest, Error> {
    let Some(wanted) = wanted else { return Ok(Hasher::sha256(bytes)) };
    let mut hasher = Hasher::new(wanted.algorithm());
    hasher.update(bytes);
    let found = hasher.finish();
    if found == *wanted {
        return Ok(found);
    }
    Err(Error::new(ErrorClass::Unavailable, format!("{what} is refused: it hashes to {found}, not to {wanted}")))
}

fn resolve(registry: &Registry, reference: &ImageRef, platform: &Platform) -> Result<Found, Error> {
    let wanted = reference.digest();
    let what = wanted.map_or_else(|| reference.tag().unwrap_or("latest").to_owned(), Digest::to_string);
    let name = reference.familiar();
    let fetched = registry.manifest(&what)?;
    let top = verified(&fetched.bytes, wanted, &name)?;
    let (mut fetched, mut digest) = (fetched, top.clone());
    for _ in 0..=INDEX_DEPTH {
        match Document::parse(&fetched.bytes, fetched.media_type.as_deref(), &name)? {
            Document::Manifest(manifest) => return Ok(Found { manifest, bytes: fetched.bytes, digest, top }),
            Document::Index(index) => {
                let entry = choose(&index, platform, &name)?;
                fetched = registry.manifest(&entry.0.to_string())?;
                if fetched.bytes.len() as u64 != entry.1 {
                    return Err(Error::new(
                        ErrorClass::Unavailable,
                        format!("{name} is refused: its index gives manifest {} another size", entry.0),
                    ));
                }
                digest = verified(&fetched.bytes, Some(&entry.0), &name)?;
            }
        }
    }
    Err(Error::new(ErrorClass::Invalid, format!("{name} is refused: its indexes are nested too deeply")))
}

/// The entry of an index for a platform; an exact variant is better than one that merely fits.
pub(crate) fn choose(index: &Index, platform: &Platform, name: &str) -> Result<(Digest, u64), Error> {
    let fits =
        |entry: &&crate::manifest::Descriptor| entry.platform.as_ref().is_some_and(|target| target.fits(platform));
    let exact = |entry: &&crate::manifest::Descriptor| {
        entry.platform.as_ref().is_some_and(|target| target.variant == platform.variant)
    };
    let nested = |entry: &&crate::manifest::Descriptor| {
        entry.platform.is_none()
            && matches!(entry.media_type.as_str(), crate::manifest::OCI_INDEX | crate::manifest::DOCKER_LIST)
    };
    let single = || index.manifests.iter().find(|entry| index.manifests.len() == 1 && entry.platform.is_none());
    let found = index.manifests.iter().filter(fits).find(exact);
    let found = found.or_else(|| index.manifests.iter().find(fits)).or_else(single);
    let found = found.or_else(|| index.manifests.iter().find(nested));
    found.map(|entry| (entry.digest.clone(), entry.size)).ok_or_else(|| {
        let mut offered: Vec<String> = index
            .manifests
            .iter()
            .filter_map(|entry| entry.platform.as_ref())
            .filter(|target| target.os != "unknown")
            .map(|target| format!("{}/{}", target.os, target.architecture))
            .collect();
        offered.dedup();
        Error::new(ErrorClass::NotFound, format!("{name} has no image for {platform}; it has: {}", offered.join(", ")))
    })
}

pub(crate) fn check_platform(config: &ImageConfig, platform: &Platform, name: &str) -> Result<(), Error> {
    let variant = config.variant.clone().filter(|variant| !variant.is_empty());
    let ours = Platform { os: config.os.clone(), architecture: config.architecture.clone(), variant };
    // Images made by hand often leave these empty.
    if ours.fits(platform) || config.architecture.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorClass::Unsupported,
        format!("{name} is an image for {ours}, wanted is {platform}; `--platform {ours}` fetches it all the same"),
    ))
}

fn configuration(shelf: &Shelf, registry: &Registry, manifest: &Manifest) -> Result<Vec<u8>, Error> {
    let wanted = &manifest.config;
    // A damaged one is fetched anew.
    if let Ok(Some(bytes)) = shelf.blobs.read(&wanted.digest, DOCUMENT_LIMIT) {
        return Ok(bytes);
    }
    let bytes = registry.small_blob(&wanted.digest)?;
    if bytes.len() as u64 != wanted.size {
        return Err(Error::new(
            ErrorClass::Unavailable,
            format!(
                "configuration {} is refused: it has {} bytes, its manifest says {}",
                wanted.digest,
                bytes.len(),
                wanted.size
            ),
        ));
    }
    verified(&bytes, Some(&wanted.digest), "the configuration")?;
    Ok(bytes)
}

/// Blobs from a registry.
struct Remote<'a> {
    registry: &'a Registry,
}

impl Source for Remote<'_> {
    fn bring(&self, layer: &Layer, work: &Work<'_>) -> Result<Option<Box<dyn StagedLayer>>, Error> {
        work.progress.update(layer.digest.short(), "Waiting", 0, layer.size);
        for last in [false, true] {
            let Some(partial) = work.shelf.blobs.partial(&layer.digest)? else {
                // Another process has fetched it meanwhile.
                let file = work.shelf.blobs.open_blob(&layer.digest)?;
                let mut file =
                    file.ok_or_else(|| Error::new(ErrorClass::Internal, "a blob vanished while it was used"))?;
                return work.take_in(layer, &mut file);
            };
            let resumed = partial.len().is_ok_and(|len| len > 0);
            match self.fetch(layer, work, &partial) {
                Ok(staged) => {
                    partial.keep(&layer.digest)?;
                    return Ok(staged);
                }
                Err(Trouble::Content(why)) => {
                    // What a crash or an earlier server left may be the culprit: once more from the beginning.
                    partial.forget()?;
                    if last || !resumed {
                        return Err(why);
                    }
                }
                Err(Trouble::Other(why)) => return Err(why),
            }
        }
        Err(Error::new(ErrorClass::Internal, format!("layer {} could not be fetched", layer.digest)))
    }
}

/// Why a fetch failed.
enum Trouble {
    /// What arrived is wrong: the part is not worth keeping.
    Content(Error),
    /// Anything else: the part can be resumed.
    Other(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Remote<'_> {
    /// Fetches into `partial` while the sink reads it; both digests have been verified on success.
    fn fetch(
        &self,
        layer: &Layer,
        work: &Work<'_>,
        partial: &Partial<'_>,
    ) -> Result<Option<Box<dyn StagedLayer>>, Trouble> {
        let growing = Growing::default();
        let given_up = std::sync::atomic::AtomicBool::new(false);
        let (fetched, staged) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let staged = work.take_in(layer, &mut growing.reader(&partial.file));
                given_up.store(staged.is_err(), std::sync::atomic::Ordering::Relaxed);
                staged
            });
            let mut transfer =
                Transfer { registry: self.registry, layer, work, given_up: &given_up, growing: &growing };
            let fetched = transfer.run(&partial.file);
            growing.end(match &fetched {
                Ok(()) => Ok(()),
                Err(Trouble::Content(why) | Trouble::Other(why)) => Err(why.message.clone()),
            });
            (fetched, reader.join())
        });
        let staged = staged.map_err(|_| Error::new(ErrorClass::Internal, "the layer's reader panicked: a bug"))?;
        match (fetched, staged) {
            (Ok(()), Ok(staged)) => Ok(staged),
            // The sink gave up first: what it saw is the cause. Bytes that hash wrongly in the end explain everything.
            (Err(Trouble::Content(why)), _) => Err(Trouble::Content(why)),
            (fetched, Err(why)) if given_up_first(&fetched) => Err(Trouble::Content(why)),
            (Err(trouble), _) => Err(trouble),
            (Ok(()), Err(why)) => Err(Trouble::Content(why)),
        }
    }
}

const GIVEN_UP: &str = "the layer was refused while it arrived";

fn given_up_first(fetched: &Result<(), Trouble>) -> bool {
    matches!(fetched, Err(Trouble::Other(why)) if why.message == GIVEN_UP)
}

/// One blob on its way.
struct Transfer<'a> {
    registry: &'a Registry,
    layer: &'a Layer,
    work: &'a Work<'a>,
    given_up: &'a std::sync::atomic::AtomicBool,
    growing: &'a Growing,
}

impl Transfer<'_> {
    /// Completes the file and verifies its digest; what is in it already is hashed first.
    fn run(&mut self, file: &File) -> Result<(), Trouble> {
        let wanted = &self.layer.digest;
        let store = |cause: &io::Error| Error::io(format_args!("storing {wanted}"), cause);
        let mut hasher = Hasher::new(wanted.algorithm());
        let mut at = self.replay(file, &mut hasher)?;
        let mut report = Report::new(self.work.progress, self.layer);
        let mut fruitless = 0;
        while at < self.layer.size {
            let before = at;
            match self.stream(file, &mut at, &mut hasher, &mut report) {
                Ok(()) => {}
                Err(Stop::Failed(trouble)) => return Err(trouble),
                Err(Stop::Network(failure)) => {
                    fruitless = if at > before { 0 } else { fruitless + 1 };
                    let Some(asked) = failure.retry.filter(|_| fruitless < FRUITLESS) else {
                        return Err(Trouble::Other(failure.error));
                    };
                    report.say("Retrying", at);
                    std::thread::sleep(pause(fruitless.max(1), asked));
                }
            }
        }
        report.say("Download complete", at);
        // The stretch of a failed write may lie behind the end.
        file.set_len(at).map_err(|cause| store(&cause))?;
        let found = hasher.finish();
        if found == *wanted {
            return Ok(());
        }
        Err(Trouble::Content(Error::new(
            ErrorClass::Unavailable,
            format!("layer {wanted} of {} is refused: what arrived hashes to {found}", self.registry.name()),
        )))
    }

    fn replay(&self, file: &File, hasher: &mut Hasher) -> Result<u64, Error> {
        let fail = |cause: io::Error| Error::io(format_args!("reading the part of {}", self.layer.digest), &cause);
        if file.metadata().map_err(fail)?.len() > self.layer.size {
            file.set_len(0).map_err(fail)?;
        }
        let mut buffer = vec![0u8; BUFFER];
        let mut at = 0;
        loop {
            match file.read_at(&mut buffer, at).map_err(fail)? {
                0 => return Ok(at),
                count => {
                    hasher.update(&buffer[..count]);
                    at += count as u64;
                    self.growing.advance(count as u64);
                }
            }
        }
    }

    /// One request, from where we are to the end.
    fn stream(&self, file: &File, at: &mut u64, hasher: &mut Hasher, report: &mut Report<'_>) -> Result<(), Stop> {
        let size = self.layer.size;
        let (answer, begin) = self.registry.blob(&self.layer.digest, *at)?;
        let rest = size - begin;
        if answer.body().content_length().is_some_and(|length| length != rest) {
            return Err(self.lies("another length than its manifest says"));
        }
        let mut body = answer.into_body().into_reader();
        let network = |cause: &io::Error| Stop::Network(explain_io(cause, self.registry.host()));
        // A server that knows no ranges begins at the beginning.
        io::copy(&mut body.by_ref().take(*at - begin), &mut io::sink()).map_err(|cause| network(&cause))?;
        let mut buffer = vec![0u8; BUFFER];
        loop {
            if self.given_up.load(std::sync::atomic::Ordering::Relaxed) || self.work.stopped() {
                return Err(Stop::Failed(Trouble::Other(Error::new(ErrorClass::Invalid, GIVEN_UP))));
            }
            let count = match body.read(&mut buffer) {
                Ok(0) if *at < size => {
                    return Err(network(&io::Error::new(io::ErrorKind::UnexpectedEof, "the transfer broke off")));
                }
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(cause) => return Err(network(&cause)),
            };
            if count as u64 > size - *at {
                return Err(self.lies("more bytes than its manifest says"));
            }
            let chunk = &buffer[..count];
            file.write_all_at(chunk, *at).map_err(|cause| {
                Stop::Failed(Error::io(format_args!("storing {}", self.layer.digest), &cause).into())
            })?;
            hasher.update(chunk);
            *at += count as u64;
            self.growing.advance(count as u64);
            report.say("Downloading", *at);
        }
    }

    fn lies(&self, how: &str) -> Stop {
        Stop::Failed(Trouble::Content(Error::new(
            ErrorClass::Unavailable,
            format!("layer {} of {} is refused: the server sends {how}", self.layer.digest, self.registry.name()),
        )))
    }
}

/// Why a stream ended early.
enum Stop {
    Network(Failure),
    Failed(Trouble),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Network(failure)
    }
}

/// Reports at most a dozen times a second.
struct Report<'a> {
    progress: &'a dyn Progress,
    layer: &'a Layer,
    last: Option<(Instant, &'static str)>,
}

impl<'a> Report<'a> {
    fn new(progress: &'a dyn Progress, layer: &'a Layer) -> Self {
        Self { progress, layer, last: None }
    }

    fn say(&mut self, status: &'static str, at: u64) {
        let now = Instant::now();
        if self.last.is_some_and(|(then, before)| before == status && now - then < REPORT) {
            return;
        }
        self.last = Some((now, status));
        self.progress.update(self.layer.digest.short(), status, at, self.layer.size);
    }
}
