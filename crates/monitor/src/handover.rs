//! Receiving the one message of the engine.

use std::io::Read as _;
use std::os::fd::OwnedFd;

use bulkhead_plan::PLAN_VERSION;
use bulkhead_plan::handover::{Answer, HandOver, Handles};
use bulkhead_sys::socket::Channel;

use crate::failure::{Failure, tolerate};

/// Most descriptors that are accepted.
const MOST_DESCRIPTORS: usize = 200;

/// Largest message, in bytes: a plan has some 20 KiB.
pub(crate) const LARGEST: u64 = 8 << 20;

/// The descriptors that came along, taken out one by one.
#[derive(Debug)]
pub(crate) struct Bag(Vec<Option<OwnedFd>>);

impl Bag {
    /// Takes one out.
    pub(crate) fn take(&mut self, index: u32, what: &str) -> Result<OwnedFd, Failure> {
        let slot = usize::try_from(index).ok().and_then(|index| self.0.get_mut(index));
        slot.and_then(Option::take)
            .ok_or_else(|| Failure::internal(format!("the hand-over has no descriptor {index} for {what}")))
    }

    /// What is left, for the mounts of the plan.
    pub(crate) fn into_rest(self) -> Vec<Option<OwnedFd>> {
        self.0
    }
}

/// What the engine handed over.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) message: HandOver,
    pub(crate) bag: Bag,
}

/// Waits for the message.
///
/// # Errors
/// If it is malformed, too large, of another version, or has too many or too few descriptors.
pub(crate) fn receive(channel: &Channel) -> Result<Received, Failure> {
    let malformed = |what: &str| {
        Failure::internal(format!("the hand-over {what}; bulkhead and bulkhead-monitor must be of one version"))
    };
    let (packet, fds) = channel.receive(64)?.ok_or_else(|| malformed("never came"))?;
    if packet != b"handover" {
        return Err(malformed("starts with another word"));
    }
    if fds.len() > MOST_DESCRIPTORS + 1 {
        return Err(Failure::invalid(format!(
            "{} mounts and handles are more than the {MOST_DESCRIPTORS} that a container may have; mount fewer volumes",
            fds.len() - 1
        )));
    }
    let mut fds = fds.into_iter();
    let memory = fds.next().ok_or_else(|| malformed("has no descriptor"))?;
    let bytes = read_memory(memory)?;
    let message: HandOver =
        serde_json::from_slice(&bytes).map_err(|error| malformed(&format!("cannot be read ({error})")))?;
    if message.plan.version != PLAN_VERSION {
        return Err(malformed(&format!("has version {} instead of {PLAN_VERSION}", message.plan.version)));
    }
    let bag = Bag(fds.map(Some).collect());
    check_count(&message.handles, bag.0.len())
        .map_err(|()| malformed("has another number of descriptors than it says"))?;
    Ok(Received { message, bag })
}

fn check_count(handles: &Handles, count: usize) -> Result<(), ()> {
    if usize::try_from(handles.count) == Ok(count) { Ok(()) } else { Err(()) }
}

/// Reads a memfd from its start, whatever its position is.
pub(crate) fn read_memory(memory: OwnedFd) -> Result<Vec<u8>, Failure> {
    let fail = |error: std::io::Error| Failure::internal(format!("a message in memory cannot be read: {error}"));
    let mut file = std::fs::File::from(memory);
    let meta = file.metadata().map_err(fail)?;
    if !meta.is_file() || meta.len() > LARGEST {
        return Err(Failure::invalid(format!("a message may have at most {} MiB", LARGEST >> 20)));
    }
    std::io::Seek::rewind(&mut file).map_err(fail)?;
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
    file.take(LARGEST).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

/// Answers. An engine that is gone already cannot be told; the container then runs on without it.
pub(crate) fn answer(channel: &Channel, answer: &Answer) {
    let sent = serde_json::to_vec(answer).map(|packet| channel.send(&packet, &[]));
    tolerate(sent);
}
