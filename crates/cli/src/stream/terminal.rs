//! The caller's terminal: raw mode that is undone on every way out, and its size.

use std::sync::Mutex;

use bulkhead_engine::TerminalSize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// The attributes to put back, while raw mode is on. A panic hook and every exit look here.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Raw mode of standard input for as long as it lives.
#[derive(Debug)]
pub struct RawMode(());

impl RawMode {
    /// Switches it on; what was typed before is kept. Does nothing if standard input is no terminal.
    pub fn enter() -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        let attributes = tcgetattr(stdin).ok()?;
        let mut raw = attributes.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Now, &raw).ok()?;
        if let Ok(mut saved) = SAVED.lock() {
            saved.get_or_insert(attributes);
        }
        Some(Self(()))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back if it was changed. May be called any number of times.
pub fn restore() {
    let saved = match SAVED.try_lock() {
        Ok(mut saved) => saved.take(),
        Err(_) => None,
    };
    if let Some(attributes) = saved {
        // Nobody is left to hear of a failure: the terminal is gone then.
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &attributes).ok();
    }
}

/// A panic in raw mode would leave a terminal without echo: put it back before the message is printed.
pub fn restore_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        print(panic);
    }));
}

/// Size of the terminal on standard input or output.
pub fn size() -> Option<TerminalSize> {
    let of = |fd| rustix::termios::tcgetwinsize(fd).ok();
    let size = of(rustix::stdio::stdin()).or_else(|| of(rustix::stdio::stdout()))?;
    Some(TerminalSize { rows: size.ws_row, columns: size.ws_col })
}

/// True if standard input is a terminal.
pub fn stdin_is_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdin())
}
