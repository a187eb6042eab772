//! Converting a layer in a process that has no rights (`jail`): this side only carries bytes to it.
//!
//! What is sure: whatever a layer does to the decompressor, the archive reader or the image writer, it does it to a
//! process that can write this one staged file and a report. What is not: a converter that was taken over can claim the
//! wanted digest for an image of its own making, as if the layer itself held that content, or one that the kernel's
//! EROFS driver has to refuse. It writes to no other layer, and it has ended before its file is published.

use std::io::{PipeReader, PipeWriter, Read, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use bulkhead_sys::process::{self, Ended};
use bulkhead_sys::spawn;
use bulkhead_types::{Digest, ErrorClass};
use rustix::fs::{Mode, OFlags};

use super::jail::Report;
use super::{Failure, tell_layer};
use crate::Error;

/// Bytes that a report may have.
const MAX_REPORT: u64 = 64 << 10;
/// Bytes that are carried at once, and the pipe's size where the kernel lets us have it.
const BUFFER: usize = 256 << 10;
const SIGKILL: i32 = 9;

/// Has `program` write the layer into `image` and verify its digest.
///
/// # Errors
/// The converter's, with the entry named; the blob's; or how the converter died.
pub(super) fn convert(
    program: &Path,
    image: BorrowedFd<'_>,
    diff_id: &Digest,
    blob: &mut dyn Read,
) -> Result<(), Error> {
    let mut converter = Converter::start(program, image, diff_id)?;
    let whole = converter.feed(blob).map_err(|error| Failure::Archive(error.into()).tell(diff_id))?;
    let (ended, text) = converter.end()?;
    match serde_json::from_slice(&text) {
        Ok(Report::Refused(class, message)) => Err(Error::new(class, printable(&message))),
        Ok(Report::Done(found)) if found == *diff_id && whole && ended == Ended::Code(0) => Ok(()),
        _ => {
            let (layer, text) = (tell_layer(diff_id), printable(&String::from_utf8_lossy(&text)));
            let message = format!("{layer}: the process that converts it failed ({ended:?}): {text:?}; this is a bug");
            Err(Error::new(ErrorClass::Internal, message))
        }
    }
}

/// What untrusted code says is for eyes, not for terminals.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter }).collect()
}

/// The running process; dropping it kills it.
struct Converter {
    process: OwnedFd,
    input: Option<PipeWriter>,
    report: PipeReader,
}

impl Converter {
    fn start(program: &Path, image: BorrowedFd<'_>, diff_id: &Digest) -> Result<Self, Error> {
        let failed =
            |error: std::io::Error| Error::new(ErrorClass::Internal, format!("starting a layer's converter: {error}"));
        let executable = rustix::fs::open(program, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| failed(errno.into()))?;
        let (blob, input) = std::io::pipe().map_err(failed)?;
        let (report, stderr) = std::io::pipe().map_err(failed)?;
        // A host that gives only small pipes converts a little slower.
        rustix::pipe::fcntl_setpipe_size(&input, BUFFER).ok();
        let args = ["bulkhead", "internal", "convert-layer", &diff_id.to_string()];
        let fds = [(0, blob.as_fd()), (1, image), (2, stderr.as_fd())];
        let (process, _) = spawn::program(executable.as_fd(), &args, &[], &fds)?;
        Ok(Self { process, input: Some(input), report })
    }

    /// Carries the blob over; false if the converter did not want all of it.
    fn feed(&mut self, blob: &mut dyn Read) -> std::io::Result<bool> {
        let Some(mut input) = self.input.take() else { return Ok(false) };
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = match blob.read(&mut buffer) {
                Ok(0) => return Ok(true),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            match input.write_all(&buffer[..count]) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for its end; nobody writes to the image after this. How it ended, and what it said.
    fn end(&mut self) -> Result<(Ended, Vec<u8>), Error> {
        let mut text = Vec::new();
        let read = self.report.by_ref().take(MAX_REPORT).read_to_end(&mut text);
        read.map_err(|error| Error::new(ErrorClass::Internal, format!("a layer's converter: {error}")))?;
        Ok((process::wait(self.process.as_fd())?, text))
    }
}

impl Drop for Converter {
    fn drop(&mut self) {
        // Both fail if it was waited for already.
        if process::signal(self.process.as_fd(), SIGKILL).is_ok() {
            process::wait(self.process.as_fd()).ok();
        }
    }
}
