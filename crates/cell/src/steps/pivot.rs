//! `pivot_root(2)` into the new root; the old tree is detached.
//!
//! *Why here:* everything that needed the host's tree is done. *Attack:* a root that is only chroot'ed can be left by any
//! descriptor or working directory outside it (CVE-2024-21626); after this there is no outside in this namespace.

use bulkhead_sys::mount;
use rustix::io::Errno;

use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    mount::pivot_into(scene.root()?.fd())?;
    let here = rustix::fs::stat("/").map_err(|errno| Trouble::new("stat", "/", errno))?;
    let root = rustix::fs::fstat(scene.root()?.fd()).map_err(|errno| Trouble::new("fstat", "root", errno))?;
    if (here.st_dev, here.st_ino) == (root.st_dev, root.st_ino) {
        Ok(())
    } else {
        Err(Trouble::new("pivot_root", "/ is not the new root", Errno::XDEV))
    }
}
