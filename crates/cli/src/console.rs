//! Standard output and error: unbuffered, every failed write is an error of the verb.

use std::borrow::Cow;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::failure::{BROKEN_PIPE, Failure, Result};

/// Writes all of it to standard output. A reader that went away ends the verb with 141, a full disk with 1.
///
/// On a terminal, control characters are shown and not obeyed: names, labels and commands come from images and
/// containers. A program that reads the output gets it as it is.
pub fn out(text: &str) -> Result<()> {
    if stdout_is_terminal() { out_bytes(harmless(text).as_bytes()) } else { out_bytes(text.as_bytes()) }
}

/// The text with every control character but tabs and line ends in a form that a terminal does not obey.
pub fn harmless(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c.is_control() && !matches!(c, '\n' | '\t'))
}

/// As [`harmless`] for one cell of a table, which can neither end its line nor its column.
pub fn cell(text: &str) -> Cow<'_, str> {
    escaped(text, char::is_control)
}

fn escaped(text: &str, is_bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_bad) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_bad(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// As [`out`], for bytes.
pub fn out_bytes(bytes: &[u8]) -> Result<()> {
    write_all(rustix::stdio::stdout(), bytes).map_err(|errno| output_failure(errno, "standard output"))
}

/// A line on standard output.
pub fn line(text: &str) -> Result<()> {
    out(&format!("{text}\n"))
}

/// A line on standard error, harmless to a terminal. Its failure is not worth ending a verb: there is nowhere left to tell.
pub fn note(text: &str) {
    match write_all(rustix::stdio::stderr(), format!("{}\n", harmless(text)).as_bytes()) {
        Ok(()) | Err(_) => {}
    }
}

/// `bulkhead: text` on standard error.
pub fn complain(text: &str) {
    note(&format!("bulkhead: {text}"));
}

/// What a failed write to a standard stream means.
pub fn output_failure(errno: Errno, name: &str) -> Failure {
    if errno == Errno::PIPE {
        return Failure::silent(BROKEN_PIPE);
    }
    Failure::new(format!("cannot write to {name}: {}", std::io::Error::from(errno)))
}

/// Writes all bytes, waiting where the descriptor is non-blocking.
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> std::result::Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut wait = [rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::OUT)];
                match rustix::event::poll(&mut wait, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno),
                }
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// `std::io::Write` over standard output without a buffer, for streams of bytes.
#[derive(Debug)]
pub struct StdoutWriter;

impl std::io::Write for StdoutWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        write_all(rustix::stdio::stdout(), bytes)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// True if standard output is a terminal.
pub fn stdout_is_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdout())
}

/// True if standard error is a terminal.
pub fn stderr_is_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stderr())
}

/// Asks a yes-or-no question as `prune` does. Anything but `y` or `Y` is no.
pub fn confirm(question: &str) -> Result<bool> {
    out(&format!("{question} [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_commanded() {
        assert_eq!(harmless("plain\ttext\n"), "plain\ttext\n");
        assert_eq!(harmless("a\x1b[31mb\x07\u{9b}c\r\n"), "a\\u{1b}[31mb\\u{7}\\u{9b}c\\r\n");
        assert_eq!(cell("a\nb\tc"), "a\\nb\\tc");
    }
}
