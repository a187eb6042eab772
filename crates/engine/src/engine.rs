//! The desk: one method per verb. Container arguments are names, ids or unique id prefixes. The verbs live in the
//! modules of their subjects; here is only what they stand on.

use std::path::PathBuf;
use std::time::Duration;

use crate::host;
use crate::layout::Layout;
use crate::model::{Error, Result};

/// How old the last look for dead monitors may be.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Where state is kept.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// `--root`; `/var/lib/bulkhead`, or `$XDG_DATA_HOME/bulkhead` for an ordinary user.
    pub root: Option<PathBuf>,
    /// `--run-root`; `/run/bulkhead`, or `$XDG_RUNTIME_DIR/bulkhead`.
    pub run_root: Option<PathBuf>,
}

/// The engine, as opened by one process for one or more verbs.
#[derive(Debug)]
pub struct Engine {
    pub(crate) layout: Layout,
    pub(crate) image_store: bulkhead_image::Store,
    pub(crate) rootfs: bulkhead_rootfs::Store,
    /// Words that reach this engine again: `--root DIR --run-root DIR` where they were given.
    pub(crate) arguments: Vec<String>,
}

impl Engine {
    /// Opens the stores and repairs what crashed operations left behind. For an ordinary user this enters the user's
    /// own user and mount namespace, so it must be called before any thread is made.
    ///
    /// # Errors
    /// If the directories cannot be made, or (rootless) there are no subordinate ids.
    pub fn open(options: EngineOptions) -> Result<Self> {
        crate::rootless::enter()?;
        let arguments = arguments(&options)?;
        let layout = layout(options)?;
        let last_sweep = std::fs::metadata(layout.ready()).and_then(|meta| meta.modified()).ok();
        if last_sweep.is_none() {
            layout.create()?;
        }
        let image_store = bulkhead_image::Store::open(&layout.root)?;
        let ourselves = bulkhead_rootfs::Converter::Program("/proc/self/exe".into());
        let rootfs = bulkhead_rootfs::Store::open(&layout.root, &layout.run)?.with_converter(ourselves);
        let engine = Self { layout, image_store, rootfs, arguments };
        match last_sweep {
            None => engine.repair_after_boot()?,
            Some(when) => {
                engine.repair_pending()?;
                if when.elapsed().is_ok_and(|age| age > SWEEP_EVERY) {
                    engine.sweep_dead_monitors()?;
                }
            }
        }
        Ok(engine)
    }
}

/// Absolute words for a monitor's call back.
fn arguments(options: &EngineOptions) -> Result<Vec<String>> {
    let mut words = Vec::new();
    for (option, path) in [("--root", &options.root), ("--run-root", &options.run_root)] {
        if let Some(path) = path {
            let path = std::path::absolute(path).map_err(Error::at(path))?;
            let text = path.to_str().ok_or_else(|| Error::invalid(format!("{option}: the path is not UTF-8")))?;
            words.extend([option.to_owned(), text.to_owned()]);
        }
    }
    Ok(words)
}

fn layout(options: EngineOptions) -> Result<Layout> {
    let is_system = host::is_root() && !crate::rootless::is_inside();
    let root = match options.root {
        Some(root) => root,
        None if is_system => PathBuf::from("/var/lib/bulkhead"),
        None => user_dir("XDG_DATA_HOME", "HOME", ".local/share")?,
    };
    let run = match options.run_root {
        Some(run) => run,
        None if is_system => PathBuf::from("/run/bulkhead"),
        None => user_dir("XDG_RUNTIME_DIR", "XDG_RUNTIME_DIR", "")?,
    };
    let absolute = |path: PathBuf| std::path::absolute(&path).map_err(Error::at(&path));
    Ok(Layout { root: absolute(root)?, run: absolute(run)? })
}

/// `$VARIABLE/bulkhead`, or `$OTHER/BELOW/bulkhead`.
fn user_dir(variable: &str, other: &str, below: &str) -> Result<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = of(variable).or_else(|| of(other).map(|base| base.join(below)));
    base.filter(|base| base.is_absolute()).map(|base| base.join("bulkhead")).ok_or_else(|| {
        Error::invalid(format!(
            "{variable} is not set: log in properly (loginctl, ssh, not su), set it to a directory of your own, or \
             give --root and --run-root"
        ))
    })
}
