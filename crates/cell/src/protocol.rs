//! What the child of a cell and its parent say to each other, on one SEQPACKET socket, the same for a first process and
//! for further ones. Each packet has one sender and one legal predecessor.
//!
//! | # | who | says | when | the other side then |
//! |---|---|---|---|---|
//! | 1 | parent | `MapsWritten` | the id maps of the new user namespace are in force (first process only) | goes on with `assume-root` |
//! | 1 | child | `Born` + pidfd | a further process had to be cloned by a go-between | waits for the go-between, goes on with the new one |
//! | 2 | child | `Terminal` + descriptor | it has a terminal | keeps the controlling end |
//! | 3 | child | `Sealed` | everything but the filter is in force (first process only) | answers `Go` |
//! | 4 | parent | `Go` | after `Sealed` | the child filters itself and executes |
//! | 3 | child | `HooksPlease` | the mounts stand and the caller has hooks (foreign plans only) | runs them, answers `HooksDone` |
//! | 4 | parent | `HooksDone` | after `HooksPlease` | goes on |
//! | – | child | `StepFailed` | instead of anything above, or after `Go` | cleans up and reports |
//! | – | child | the socket closes | the exec succeeded, or the child died | tells them apart by the phase and the pidfd |
//!
//! The parent needs no request for the maps: `clone3` has given it the pidfd already, and while it writes them the child
//! enters its cgroup. Packets have a fixed size, so that a child in a half-made world builds nothing.

use std::os::fd::OwnedFd;

use bulkhead_plan::steps::Step;
use bulkhead_sys::SysError;
use bulkhead_sys::socket::Channel;

/// Size of every packet in bytes.
const SIZE: usize = 512;
/// Bytes in front of a failure's detail.
const HEADER: usize = 16;

/// Why a step failed, as the child sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which step.
    pub step: Step,
    /// Index of the mount, path, limit… it was about.
    pub index: u32,
    /// The kernel's number.
    pub errno: i32,
    /// Call and object, cut to what fits.
    pub detail: String,
}

/// One packet.
#[derive(Debug)]
pub enum Packet {
    /// Parent: go on, the ids exist.
    MapsWritten,
    /// Go-between: this is the process, and this its number.
    Born(OwnedFd, u32),
    /// Child: here is the controlling end of the terminal.
    Terminal(OwnedFd),
    /// Child: everything but the filter is in force. The bits name the resource limits that had to be lowered.
    Sealed(u32),
    /// Parent: execute.
    Go,
    /// Child: the mounts stand, the caller's hooks are due.
    HooksPlease,
    /// Parent: they have run.
    HooksDone,
    /// Child: this is as far as it goes.
    StepFailed(Failure),
}

impl Packet {
    /// Name in messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::MapsWritten => "MapsWritten",
            Self::Born(..) => "Born",
            Self::Terminal(_) => "Terminal",
            Self::Sealed(_) => "Sealed",
            Self::Go => "Go",
            Self::HooksPlease => "HooksPlease",
            Self::HooksDone => "HooksDone",
            Self::StepFailed(_) => "StepFailed",
        }
    }

    const fn kind(&self) -> u8 {
        match self {
            Self::MapsWritten => 1,
            Self::Terminal(_) => 2,
            Self::Sealed(_) => 3,
            Self::Go => 4,
            Self::StepFailed(_) => 5,
            Self::Born(..) => 6,
            Self::HooksPlease => 7,
            Self::HooksDone => 8,
        }
    }
}

/// Sends one packet.
///
/// # Errors
/// `EPIPE` if the other side is gone.
pub fn send(channel: &Channel, packet: &Packet) -> Result<(), SysError> {
    use std::os::fd::AsFd as _;
    let mut bytes = [0u8; SIZE];
    bytes[0] = packet.kind();
    match packet {
        Packet::Sealed(number) | Packet::Born(_, number) => bytes[4..8].copy_from_slice(&number.to_le_bytes()),
        Packet::StepFailed(failure) => write_failure(&mut bytes, failure),
        _ => {}
    }
    match packet {
        Packet::Terminal(fd) | Packet::Born(fd, _) => channel.send(&bytes, &[fd.as_fd()]),
        _ => channel.send(&bytes, &[]),
    }
}

fn write_failure(bytes: &mut [u8; SIZE], failure: &Failure) {
    let detail = failure.detail.as_bytes();
    let length = detail.len().min(SIZE - HEADER);
    let step = Step::ALL.iter().position(|step| *step == failure.step).unwrap_or(Step::ALL.len());
    bytes[1] = u8::try_from(step).unwrap_or(u8::MAX);
    bytes[2..4].copy_from_slice(&u16::try_from(length).unwrap_or(0).to_le_bytes());
    bytes[4..8].copy_from_slice(&failure.index.to_le_bytes());
    bytes[8..12].copy_from_slice(&failure.errno.to_le_bytes());
    for (slot, byte) in bytes.iter_mut().skip(HEADER).zip(detail.iter().take(length)) {
        *slot = *byte;
    }
}

/// What [`receive`] found.
#[derive(Debug)]
pub enum Received {
    /// A packet.
    Packet(Packet),
    /// The other side's socket is closed.
    End,
    /// Something that no packet looks like.
    Nonsense,
}

/// Receives one packet.
///
/// # Errors
/// The kernel's.
pub fn receive(channel: &Channel) -> Result<Received, SysError> {
    let Some((bytes, mut fds)) = channel.receive(SIZE)? else { return Ok(Received::End) };
    let Ok(bytes) = <[u8; SIZE]>::try_from(bytes) else { return Ok(Received::Nonsense) };
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Ok(match (bytes[0], fds.pop()) {
        (1, None) => Received::Packet(Packet::MapsWritten),
        (2, Some(fd)) => Received::Packet(Packet::Terminal(fd)),
        (3, None) => Received::Packet(Packet::Sealed(number(4))),
        (4, None) => Received::Packet(Packet::Go),
        (6, Some(fd)) => Received::Packet(Packet::Born(fd, number(4))),
        (7, None) => Received::Packet(Packet::HooksPlease),
        (8, None) => Received::Packet(Packet::HooksDone),
        (5, None) => read_failure(&bytes, number(4), number(8)),
        _ => Received::Nonsense,
    })
}

fn read_failure(bytes: &[u8; SIZE], index: u32, errno: u32) -> Received {
    let Some(step) = Step::ALL.get(usize::from(bytes[1])) else { return Received::Nonsense };
    let length = usize::from(u16::from_le_bytes([bytes[2], bytes[3]]));
    let detail = bytes.get(HEADER..HEADER + length).unwrap_or_default();
    Received::Packet(Packet::StepFailed(Failure {
        step: *step,
        index,
        errno: errno.cast_signed(),
        detail: String::from_utf8_lossy(detail).into_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(packet: &Packet) -> Received {
        let (one, other) = Channel::pair().unwrap();
        send(&one, packet).unwrap();
        receive(&other).unwrap()
    }

    #[test]
    fn a_failure_arrives_whole_and_a_long_one_cut() {
        let failure = Failure { step: Step::MaskPaths, index: 7, errno: -13, detail: "openat2 /proc/kcore".into() };
        let Received::Packet(Packet::StepFailed(back)) = through(&Packet::StepFailed(failure.clone())) else {
            panic!()
        };
        assert_eq!(back, failure);
        let long = Failure { detail: "x".repeat(5000), ..failure };
        let Received::Packet(Packet::StepFailed(back)) = through(&Packet::StepFailed(long)) else { panic!() };
        assert_eq!(back.detail.len(), SIZE - HEADER);
    }

    #[test]
    fn the_end_and_nonsense_are_told_apart() {
        let (one, other) = Channel::pair().unwrap();
        one.send(b"hello", &[]).unwrap();
        assert!(matches!(receive(&other).unwrap(), Received::Nonsense));
        drop(one);
        assert!(matches!(receive(&other).unwrap(), Received::End));
        assert!(matches!(through(&Packet::Sealed(5)), Received::Packet(Packet::Sealed(5))));
    }
}
