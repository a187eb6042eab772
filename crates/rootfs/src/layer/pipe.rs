//! Two threads for one layer: the caller's reads and inflates, the other hashes and writes.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use bulkhead_archive::hash::Hasher;
use bulkhead_archive::{Limits, compress};
use bulkhead_types::{Algorithm, Digest, ErrorClass};

use crate::Error;

/// Bytes of one buffer: small enough to stay in the processor's cache between the two threads.
const BUFFER: usize = 256 << 10;
/// Buffers on the way.
const DEPTH: usize = 6;

/// The uncompressed bytes, hashed as they come.
pub(super) struct Stream {
    full: Receiver<io::Result<Vec<u8>>>,
    empty: Sender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
    hasher: Hasher,
}

impl Stream {
    /// Digest of what was read; of the whole stream if it was read to its end.
    pub fn digest(self) -> Digest {
        self.hasher.finish()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.current.len() {
            let Ok(next) = self.full.recv() else { return Ok(0) };
            let used = std::mem::replace(&mut self.current, next?);
            // The other side may have ended; then nobody needs the buffer.
            self.empty.send(used).ok();
            self.position = 0;
            self.hasher.update(&self.current);
        }
        let rest = &self.current[self.position..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count;
        Ok(count)
    }
}

/// Runs `work` on the expanded bytes of `blob` while they are expanded.
///
/// # Errors
/// What `work` answers; an error of the blob reaches it through its stream.
pub(super) fn expand<T: Send>(
    blob: &mut dyn Read,
    algorithm: Algorithm,
    limits: Limits,
    work: impl FnOnce(Stream) -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let (full_sender, full) = sync_channel(DEPTH);
    let (empty, used) = channel();
    let stream = Stream { full, empty, current: Vec::new(), position: 0, hasher: Hasher::new(algorithm) };
    let internal = |text: &str| Error::new(ErrorClass::Internal, text);
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().name("layer".into()).spawn_scoped(scope, move || work(stream));
        let worker = worker.map_err(|error| internal(&format!("starting a thread for a layer: {error}")))?;
        if let Err(error) = produce(blob, limits, &full_sender, &used) {
            // A receiver that is gone has its own, better error.
            full_sender.send(Err(error)).ok();
        }
        drop(full_sender);
        worker.join().unwrap_or_else(|_| Err(internal("the thread that writes a layer failed; this is a bug")))
    })
}

fn produce(
    blob: &mut dyn Read,
    limits: Limits,
    full: &SyncSender<io::Result<Vec<u8>>>,
    used: &Receiver<Vec<u8>>,
) -> io::Result<()> {
    let (_, mut source) = compress::decoder(blob, limits)?;
    loop {
        let mut buffer = used.try_recv().unwrap_or_default();
        buffer.resize(BUFFER, 0);
        let mut filled = 0;
        while filled < BUFFER {
            match source.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(filled);
        if filled == 0 || full.send(Ok(buffer)).is_err() {
            return Ok(());
        }
    }
}
