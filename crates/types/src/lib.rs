//! The vocabulary of Bulkhead: digests, references, ids, sizes, ranges, exit status.
//!
//! * **Is:** plain values that are valid by construction. If you hold one, it is valid; parsing is the only way in.
//! * **Must never know:** files, sockets, the kernel. No input or output happens here.
//! * **Invariants:** every type round-trips through its text form; every parser is total (no panic on any input).
//! * **Tests:** beside each module.

mod class;
mod digest;
mod exit;
mod id;
mod idmap;
mod platform;
mod quantity;
mod reference;

pub use class::{Classified, ErrorClass};
pub use digest::{Algorithm, Digest, DigestError};
pub use exit::ExitStatus;
pub use id::{ContainerId, ContainerName, IdError};
pub use idmap::{CONTAINER_IDS, IdExtent, IdMap, IdMapError, IdRange};
pub use platform::Platform;
pub use quantity::{ByteSize, QuantityError, parse_duration};
pub use reference::{ImageRef, ReferenceError};
