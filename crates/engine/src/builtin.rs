//! The image built into the program: our own static binary as its only file, which tells what walls it finds around
//! itself. It needs no network.

use std::io::Read;
use std::path::Path;

use bulkhead_archive::tar::{Entry, Kind, Writer};
use bulkhead_image::Image;
use bulkhead_types::{ErrorClass, ImageRef};

use crate::engine::Engine;
use crate::image_parts::{new_config, parse_reference};
use crate::model::{Error, PulledImage, Result};

/// Names that mean it as long as the store has nothing under them.
const NAMES: &[&str] = &["walls", "bulkhead/walls"];

/// Under which it is stored.
const REFERENCE: &str = "bulkhead/walls:latest";

/// `nobody` of every distribution.
const USER: &str = "65534:65534";

/// True if a user who writes this means the built-in image.
pub(crate) fn is_meant(text: &str) -> bool {
    NAMES.contains(&text.strip_suffix(":latest").unwrap_or(text))
}

/// Makes it, from the running program.
///
/// # Errors
/// If the store cannot take it.
pub(crate) fn make(engine: &Engine) -> Result<Image> {
    let reference = parse_reference(REFERENCE)?;
    if let Some(image) = engine.image_store.find(REFERENCE)? {
        return Ok(image);
    }
    let words = ["/bulkhead", "walls"];
    from_file(engine, Path::new("/proc/self/exe"), "bulkhead", &words, &reference, None)
}

impl Engine {
    /// An image whose only file is this static binary (S57). Non-root, entry point set.
    ///
    /// # Errors
    /// If the file is no static executable of this host's kind, or the reference malformed.
    pub fn image_from_binary(&self, binary: &Path, reference: &str) -> Result<PulledImage> {
        let reference = parse_reference(reference)?;
        let name = binary
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| Error::invalid(format!("{}: a file name is expected", binary.display())))?;
        check_static(binary)?;
        let path = format!("/{name}");
        let image = from_file(self, binary, name, &[&path], &reference, Some(USER))?;
        self.tell_of("image", "import", &image.id.to_string(), &[("name", reference.familiar())]);
        Ok(PulledImage { id: image.id, digest: image.manifest, reference, changed: true })
    }
}

fn from_file(
    engine: &Engine,
    file: &Path,
    name: &str,
    entrypoint: &[&str],
    reference: &ImageRef,
    user: Option<&str>,
) -> Result<Image> {
    let open = std::fs::File::open(file).map_err(Error::at(file))?;
    let size = open.metadata().map_err(Error::at(file))?.len();
    let mut config = new_config();
    // The same program gives the same image, whenever it is made.
    config.created = Some("1970-01-01T00:00:00Z".into());
    config.config.entrypoint = entrypoint.iter().map(|word| (*word).to_owned()).collect();
    config.config.user = user.unwrap_or_default().to_owned();
    let (mut reader, writer) = std::io::pipe().map_err(|error| Error::internal(format!("pipe: {error}")))?;
    std::thread::scope(|scope| {
        let written = scope.spawn(move || write_tar(writer, name, size, open));
        let image = engine.image_store.add_layer(None, &mut reader, config, Some(reference), &engine.layer_sink());
        // Closing our end lets a writer that nobody reads any more come to an end.
        drop(reader);
        let written = written.join().map_err(|_| Error::internal("the image could not be written"))?;
        let image = image?;
        written.map_err(Error::at(file))?;
        Ok(image)
    })
}

fn write_tar(writer: std::io::PipeWriter, name: &str, size: u64, mut content: impl Read) -> std::io::Result<()> {
    let entry = |path: &[u8], kind: Kind, mode: u32| Entry {
        path: path.to_vec(),
        kind,
        mode,
        uid: 0,
        gid: 0,
        mtime: 0,
        mtime_nsec: 0,
        xattrs: Vec::new(),
    };
    let mut tar = Writer::new(std::io::BufWriter::with_capacity(1 << 16, writer));
    for (path, mode) in [("dev", 0o755), ("etc", 0o755), ("proc", 0o555), ("sys", 0o555), ("tmp", 0o1777)] {
        tar.append(&entry(path.as_bytes(), Kind::Directory, mode), &mut std::io::empty())?;
    }
    tar.append(&entry(name.as_bytes(), Kind::File { size }, 0o755), &mut content)?;
    let mut buffered = tar.finish()?;
    std::io::Write::flush(&mut buffered)
}

/// An image without a loader can only run what needs none.
fn check_static(path: &Path) -> Result<()> {
    use std::os::unix::fs::FileExt as _;
    let refuse = |why: &str| Error::new(ErrorClass::Invalid, format!("{}: {why}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| refuse(&error.to_string()))?;
    let mut head = [0u8; 64];
    file.read_exact_at(&mut head, 0).map_err(|_| refuse("not an ELF executable"))?;
    let u16_at = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return Err(refuse("not a 64-bit little-endian ELF executable"));
    }
    let machine = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    if u16_at(18) != machine {
        return Err(refuse("built for another processor than this host's"));
    }
    let offset = u64::from_le_bytes(head[32..40].try_into().map_err(|_| refuse("damaged ELF header"))?);
    let (entry_size, count) = (u64::from(u16_at(54)), u64::from(u16_at(56)));
    for number in 0..count {
        let mut kind = [0u8; 4];
        file.read_exact_at(&mut kind, offset + number * entry_size)
            .map_err(|_| refuse("damaged ELF program header"))?;
        if u32::from_le_bytes(kind) == 3 {
            return Err(refuse(
                "dynamically linked: the image would lack its loader and libraries; link it statically \
                 (Rust: -C target-feature=+crt-static, Go: CGO_ENABLED=0, C: -static)",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_names_mean_it() {
        assert!(is_meant("walls") && is_meant("bulkhead/walls:latest"));
        assert!(!is_meant("bulkhead/walls:1") && !is_meant("wall"));
    }

    #[test]
    fn dynamic_programs_are_refused() {
        let error = check_static(Path::new("/bin/ls")).unwrap_err();
        assert!(error.message.contains("dynamically linked"), "{error}");
        assert!(check_static(Path::new("/etc/passwd")).is_err());
        // Our own tests are linked like the program: statically.
        check_static(Path::new("/proc/self/exe")).unwrap();
    }
}
