//! Creates the working directory if it is missing, as Docker does.
//!
//! *Why here:* before the root may become read-only. Links in the path stay inside the root.

use crate::scene::{Outcome, Scene};

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let cwd = scene.process.cwd.as_str();
    if cwd.is_empty() || cwd == "/" {
        return Ok(());
    }
    scene.root()?.create_dir_all(cwd)?;
    Ok(())
}
