//! Changes to the working directory with the rights of the final user, and checks that it lies below the root.
//!
//! *Attack:* a working directory outside the root is a way out for the whole container (CVE-2024-21626).

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::scene::{Outcome, Scene, Trouble};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let wanted = match scene.process.cwd.as_str() {
        "" => "/",
        cwd => cwd,
    };
    let directory = scene.root()?.open(wanted, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    rustix::process::fchdir(&directory).map_err(|errno| Trouble::new("chdir", wanted, errno))?;
    // The kernel says "(unreachable)" for a directory that cannot be reached from the root.
    let here = rustix::process::getcwd(Vec::new()).map_err(|errno| Trouble::new("getcwd", wanted, errno))?;
    if here.as_bytes().first() == Some(&b'/') {
        Ok(())
    } else {
        Err(Trouble::new("getcwd", "outside the root", Errno::XDEV))
    }
}
