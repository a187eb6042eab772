//! What a number in the poller stands for.

use crate::logs::Stream;

/// Something that wakes the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The first process has ended.
    End,
    Listener,
    Signals,
    Output(Stream),
    Input,
    Oom,
    Peer(usize),
    /// The end of an exec.
    Exec(usize),
    /// The terminal of an exec that nobody reads any more.
    ExecTerminal(usize),
    /// The end of a health check.
    Probe,
    ProbeOutput,
}

impl Source {
    pub(crate) const fn token(self) -> u64 {
        let (kind, slot) = match self {
            Self::End => (0, 0),
            Self::Listener => (1, 0),
            Self::Signals => (2, 0),
            Self::Output(Stream::Stdout) => (3, 0),
            Self::Output(Stream::Stderr) => (4, 0),
            Self::Input => (5, 0),
            Self::Oom => (6, 0),
            Self::Peer(slot) => (7, slot),
            Self::Exec(slot) => (8, slot),
            Self::ExecTerminal(slot) => (9, slot),
            Self::Probe => (10, 0),
            Self::ProbeOutput => (11, 0),
        };
        (kind << 32) | slot as u64
    }

    pub(crate) fn from_token(token: u64) -> Option<Self> {
        let slot = usize::try_from(token & 0xffff_ffff).ok()?;
        Some(match token >> 32 {
            0 => Self::End,
            1 => Self::Listener,
            2 => Self::Signals,
            3 => Self::Output(Stream::Stdout),
            4 => Self::Output(Stream::Stderr),
            5 => Self::Input,
            6 => Self::Oom,
            7 => Self::Peer(slot),
            8 => Self::Exec(slot),
            9 => Self::ExecTerminal(slot),
            10 => Self::Probe,
            11 => Self::ProbeOutput,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_there_and_back() {
        let sources = [
            Source::End,
            Source::Listener,
            Source::Signals,
            Source::Output(Stream::Stdout),
            Source::Output(Stream::Stderr),
            Source::Input,
            Source::Oom,
            Source::Peer(5),
            Source::Exec(70_000),
            Source::ExecTerminal(1),
            Source::Probe,
            Source::ProbeOutput,
        ];
        for source in sources {
            assert_eq!(Source::from_token(source.token()), Some(source));
        }
        assert_eq!(Source::from_token(u64::MAX), None);
    }
}
