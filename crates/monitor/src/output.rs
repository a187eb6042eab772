//! From the process to the log and the attachments.

use bulkhead_plan::control::Packet;

use crate::container::Container;
use crate::logs::{LONGEST, Stream};

/// Reads at most so often before other things get their turn.
const TURNS: usize = 4;

/// Takes output while there is some and everyone keeps up.
pub(crate) fn pump(container: &mut Container, stream: Stream) {
    for _ in 0..TURNS {
        if container.is_held_up() || !take(container, stream) {
            return;
        }
    }
}

/// Reads at most so often at the end: 4 MiB, more than pipes hold. In a foreign pid namespace somebody may still write.
const LAST_TURNS: usize = 256;

/// Takes all that is left, whoever keeps up.
pub(crate) fn drain(container: &mut Container) {
    for stream in [Stream::Stdout, Stream::Stderr] {
        for _ in 0..LAST_TURNS {
            if !take(container, stream) {
                break;
            }
        }
    }
}

fn take(container: &mut Container, stream: Stream) -> bool {
    let mut buffer = [0u8; LONGEST];
    let Some(count) = container.streams.read(stream, &mut buffer) else { return false };
    let bytes = buffer.get(..count).unwrap_or_default();
    container.log.take(stream, bytes);
    let kind = match stream {
        Stream::Stdout => Packet::Stdout,
        Stream::Stderr => Packet::Stderr,
    };
    container.broadcast(kind, bytes);
    true
}
