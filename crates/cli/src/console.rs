//! Standard output and error: unbuffered, every failed write is an error of the verb.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::failure::{BROKEN_PIPE, Failure, Result};

/// Writes all of it to standard output. A reader that went away ends the verb with 141, a full disk with 1.
pub fn out(text: &str) -> Result<()> {
    out_bytes(text.as_bytes())
}

/// As [`out`], for bytes.
pub fn out_bytes(bytes: &[u8]) -> Result<()> {
    write_all(rustix::stdio::stdout(), bytes).map_err(|errno| output_failure(errno, "standard output"))
}

/// A line on standard output.
pub fn line(text: &str) -> Result<()> {
    out(&format!("{text}\n"))
}

/// A line on standard error. Its failure is not worth ending a verb: there is nowhere left to tell.
pub fn note(text: &str) {
    match write_all(rustix::stdio::stderr(), format!("{text}\n").as_bytes()) {
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
