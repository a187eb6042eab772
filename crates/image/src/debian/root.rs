//! The root file system without what varies or belongs to the machine that made it.

use std::io::{self, Read, Write};

use bulkhead_archive::Limits;
use bulkhead_archive::tar::{Kind, Reader, Writer};
use bulkhead_types::ErrorClass;

use crate::model::Error;

/// Files that mmdebstrap copies from the host, or that programs write differently each time.
const DROPPED: [&[u8]; 8] = [
    b"etc/hostname",
    b"etc/resolv.conf",
    b"etc/machine-id",
    b"etc/apt/apt.conf.d/99mmdebstrap",
    b"var/lib/dbus/machine-id",
    b"var/cache/ldconfig/aux-cache",
    b"var/cache/apt/pkgcache.bin",
    b"var/cache/apt/srcpkgcache.bin",
];

/// Copies a tar, leaving those files out, and device nodes and logs; no time is later than the release.
pub(super) fn clean(from: impl Read, to: impl Write, date: u64) -> Result<(), Error> {
    let refused = |cause: &dyn std::fmt::Display| {
        Error::new(ErrorClass::Unavailable, format!("the root file system from mmdebstrap cannot be read: {cause}"))
    };
    let mut reader = Reader::new(io::BufReader::with_capacity(256 << 10, from), Limits::default());
    let mut writer = Writer::new(io::BufWriter::with_capacity(256 << 10, to));
    let latest = i64::try_from(date).unwrap_or(i64::MAX);
    while let Some(mut entry) = reader.next_entry().map_err(|cause| refused(&cause))? {
        if dropped(&entry.path, &entry.kind) {
            continue;
        }
        if entry.mtime >= latest {
            (entry.mtime, entry.mtime_nsec) = (latest, 0);
        }
        writer
            .append(&entry, reader.content())
            .map_err(|cause| Error::io("passing the root file system on", &cause))?;
    }
    reader.finish().map_err(|cause| refused(&cause))?;
    let flushed = writer.finish().and_then(|mut out| out.flush());
    flushed.map_err(|cause| Error::io("passing the root file system on", &cause))
}

fn dropped(path: &[u8], kind: &Kind) -> bool {
    let log = path.starts_with(b"var/log/") && matches!(kind, Kind::File { .. });
    // A container gets its own /dev; an image has no business with device nodes.
    let device = path.starts_with(b"dev/") || matches!(kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. });
    log || device || DROPPED.contains(&path)
}
