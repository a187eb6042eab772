//! What a verb works with: the engine, opened when it is first needed, and the words that reached it.

use std::cell::OnceCell;
use std::path::PathBuf;

use bulkhead_engine::{Engine, EngineOptions};

use crate::failure::Result;

/// Global options and the engine.
#[derive(Debug)]
pub struct Session {
    /// `--root`, `--run-root` or their variables.
    pub options: EngineOptions,
    /// All verbs as one tree, for completions and man pages. A verb cannot name the table that it stands in itself.
    pub tree: fn() -> clap::Command,
    engine: OnceCell<Engine>,
}

impl Session {
    /// From the global options; the environment fills what was not given.
    pub fn new(root: Option<PathBuf>, run_root: Option<PathBuf>, tree: fn() -> clap::Command) -> Self {
        let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let options = EngineOptions {
            root: root.or_else(|| from("BULKHEAD_ROOT")),
            run_root: run_root.or_else(|| from("BULKHEAD_RUN_ROOT")),
        };
        Self { options, tree, engine: OnceCell::new() }
    }

    /// The engine. Opened once, after the arguments were found good: a typing error touches nothing.
    pub fn engine(&self) -> Result<&Engine> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let engine = Engine::open(self.options.clone())?;
        Ok(self.engine.get_or_init(|| engine))
    }
}
