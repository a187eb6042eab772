//! Writes 0 to `user.max_user_namespaces` of the container's own user namespace, and reads it back.
//!
//! *Why here:* before `/proc/sys` becomes read-only and while root inside is still complete. *Attack:* 65 of 152 kernel
//! cases need a capability that a nested user namespace gives for the asking; with this none can be made, with or without
//! the filter.

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::sysctls;
use crate::scene::{Outcome, Scene, Trouble};

const NAME: &str = "user/max_user_namespaces";

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let proc = sysctls::proc(scene)?;
    sysctls::write(proc, NAME, "0")?;
    let file = sysctls::open(proc, NAME, OFlags::RDONLY)?;
    let mut buffer = [0u8; 16];
    let length = rustix::io::read(&file, &mut buffer).map_err(|errno| Trouble::new("read", NAME, errno))?;
    match buffer.get(..length) {
        Some(b"0\n") => Ok(()),
        _ => Err(Trouble::new("read", "user/max_user_namespaces did not stay 0", Errno::IO)),
    }
}
