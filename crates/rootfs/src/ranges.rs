//! The ledger of id ranges: which holder owns which block of host ids.
//!
//! One symbolic link a block, `ranges/<slot>`, whose text is the holder: making it is atomic and fails if it exists, so
//! the ledger needs no lock, and a killed process leaves either a whole entry or none. The links are only ever read,
//! never followed. `ranges/by-holder/<holder>` points to the slot and is made before it; the slot is what counts.
//!
//! Root takes blocks of 65,536 ids from 0x7000_0000 to 0x7FFE_FFFF. systemd documents the area up to 0x7FFF_FFFF as free
//! of users ("Users, Groups, UIDs and GIDs on systemd systems"); its last block is not lent, for [`CONVERTER`]. Blocks that `/etc/subuid` or `/etc/subgid` gave to somebody
//! are passed over. An ordinary user's blocks are carved out of the subordinate ids of the namespace we run in.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bulkhead_sys::{SysError, idmap};
use bulkhead_types::{CONTAINER_IDS, ErrorClass, IdMap, IdRange};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::model::Error;
use crate::place::{self, Place};

const ROOT_FIRST: u32 = 0x7000_0000;
const ROOT_SLOTS: u32 = 0x0FFF;
/// The id of the processes that convert layers: nobody else's, because it lies in the block that is never lent.
pub const CONVERTER: u32 = 0x7FFF_FFFE;
/// Ids of a container of an ordinary user: enough for the system users of images.
const ROOTLESS_IDS: u32 = 2048;
const BY_HOLDER: &str = "by-holder";

/// The blocks that may be lent.
struct Blocks {
    first: u32,
    size: u32,
    slots: u32,
    taken: Vec<IdRange>,
    /// Ordinary users' blocks are lent from the lowest up, because each block in use costs a shifted copy of a layer.
    lowest_first: bool,
}

impl Blocks {
    fn of_root() -> Self {
        let taken = ["/etc/subuid", "/etc/subgid"]
            .iter()
            .flat_map(|path| subordinate(&std::fs::read_to_string(path).unwrap_or_default()))
            .collect();
        Self { first: ROOT_FIRST, size: CONTAINER_IDS, slots: ROOT_SLOTS, taken, lowest_first: false }
    }

    fn of_user() -> Result<Self, Error> {
        let end = |name| -> Result<u32, Error> {
            let lines = idmap::own_map(name)?;
            // Only an unbroken run of ids from 1 up can be cut into blocks.
            let mut end = 1;
            for (inside, _, count) in lines {
                if inside <= end {
                    end = end.max(inside.saturating_add(count));
                }
            }
            Ok(end)
        };
        let slots = (end("uid_map")?.min(end("gid_map")?) - 1) / ROOTLESS_IDS;
        if slots == 0 {
            return Err(Error::new(
                ErrorClass::Denied,
                format!(
                    "this user has fewer than {ROOTLESS_IDS} subordinate ids, and a container needs that many; the \
                     administrator can grant some with: usermod --add-subuids 100000-165535 --add-subgids \
                     100000-165535 USER"
                ),
            ));
        }
        Ok(Self { first: 1, size: ROOTLESS_IDS, slots, taken: Vec::new(), lowest_first: true })
    }

    fn of(place: &Place) -> Result<Self, Error> {
        if place.rootless { Self::of_user() } else { Ok(Self::of_root()) }
    }

    fn range(&self, slot: u32) -> IdRange {
        IdRange { base: self.first + slot * self.size, count: self.size }
    }

    /// All slots in the order in which this holder tries them.
    fn order(&self, holder: &str) -> impl Iterator<Item = u32> {
        let slots = self.slots;
        let start = if self.lowest_first { 0 } else { hash(holder) % slots };
        (0..slots).map(move |step| (start + step) % slots)
    }

    fn is_free_of_others(&self, slot: u32) -> bool {
        !self.taken.iter().any(|taken| taken.overlaps(&self.range(slot)))
    }
}

/// The map with which layers are stored where mounts cannot be idmapped: that of the lowest block.
///
/// # Errors
/// If the user has no subordinate ids.
pub fn canonical_map() -> Result<IdMap, Error> {
    Ok(Blocks::of_user()?.range(0).container_map())
}

/// FNV-1a: spreads holders over the slots; nothing depends on its strength.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// `user:first:count` lines of subuid(5).
fn subordinate(text: &str) -> Vec<IdRange> {
    let parse = |line: &str| {
        let mut fields = line.trim().splitn(3, ':').skip(1);
        let base = fields.next()?.parse().ok()?;
        let count = fields.next()?.parse().ok()?;
        Some(IdRange { base, count })
    };
    text.lines().filter_map(parse).collect()
}

struct Ledger {
    slots: OwnedFd,
    holders: OwnedFd,
}

impl Ledger {
    fn open(place: &Place) -> Result<Self, Error> {
        let slots = place.dir("ranges")?;
        let holders = place::subdirectory(slots.as_fd(), BY_HOLDER)?;
        Ok(Self { slots, holders })
    }

    fn holder_of(&self, slot: u32) -> Result<Option<String>, Error> {
        read_link(self.slots.as_fd(), &slot.to_string())
    }

    /// The slot of a holder by the shortcut, if the slot agrees.
    fn slot_of(&self, holder: &str) -> Result<Option<u32>, Error> {
        let Some(slot) = read_link(self.holders.as_fd(), holder)?.and_then(|text| text.parse().ok()) else {
            return Ok(None);
        };
        Ok((self.holder_of(slot)?.as_deref() == Some(holder)).then_some(slot))
    }

    /// Tries to take a slot. True if it is the holder's now, also if it was before.
    fn claim(&self, slot: u32, holder: &str) -> Result<bool, Error> {
        match rustix::fs::symlinkat(holder, &self.slots, slot.to_string()) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(self.holder_of(slot)?.as_deref() == Some(holder)),
            Err(errno) => Err(full(SysError::new("symlinkat", format!("ranges/{slot}"), errno))),
        }
    }

    /// Makes the shortcut point to a slot that is about to be claimed.
    fn point_to(&self, holder: &str, slot: u32) -> Result<(), Error> {
        let text = slot.to_string();
        for _ in 0..16 {
            match rustix::fs::symlinkat(&text, &self.holders, holder) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) if read_link(self.holders.as_fd(), holder)?.as_ref() == Some(&text) => return Ok(()),
                Err(Errno::EXIST) => unlink(self.holders.as_fd(), holder)?,
                Err(errno) => return Err(full(SysError::new("symlinkat", format!("by-holder/{holder}"), errno))),
            }
        }
        Err(Error::new(ErrorClass::Internal, format!("the id range of {holder} is leased and released all the time")))
    }
}

fn full(error: SysError) -> Error {
    Error::new(ErrorClass::Internal, format!("the ledger of id ranges cannot be written: {error}"))
}

fn read_link(dir: BorrowedFd<'_>, name: &str) -> Result<Option<String>, Error> {
    match rustix::fs::readlinkat(dir, name, Vec::new()) {
        Ok(text) => Ok(text.into_string().ok()),
        Err(Errno::NOENT | Errno::INVAL) => Ok(None),
        Err(errno) => Err(SysError::new("readlinkat", name, errno).into()),
    }
}

fn unlink(dir: BorrowedFd<'_>, name: &str) -> Result<(), Error> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(SysError::new("unlinkat", name, errno).into()),
    }
}

/// As [`crate::Store::lease_range`].
///
/// # Errors
/// As [`crate::Store::lease_range`].
pub fn lease(place: &Place, holder: &str) -> Result<IdRange, Error> {
    let holder = place::component(holder)?;
    let ledger = Ledger::open(place)?;
    let blocks = Blocks::of(place)?;
    if let Some(slot) = ledger.slot_of(holder)? {
        return Ok(blocks.range(slot));
    }
    for slot in blocks.order(holder).filter(|slot| blocks.is_free_of_others(*slot)) {
        // The shortcut first: whoever is killed now leaves no slot that its holder does not find again.
        ledger.point_to(holder, slot)?;
        if ledger.claim(slot, holder)? {
            return Ok(blocks.range(slot));
        }
    }
    unlink(ledger.holders.as_fd(), holder)?;
    let cure = if place.rootless {
        "stop or remove a container, or have more subordinate ids granted (usermod --add-subuids, --add-subgids)"
    } else {
        "remove containers that are not needed any more"
    };
    Err(Error::new(ErrorClass::Unavailable, format!("all {} id ranges are in use; {cure}", blocks.slots)))
}

/// As [`crate::Store::release_range`].
///
/// # Errors
/// As [`crate::Store::release_range`].
pub fn release(place: &Place, holder: &str) -> Result<(), Error> {
    let holder = place::component(holder)?;
    let ledger = Ledger::open(place)?;
    let slot = match ledger.slot_of(holder)? {
        Some(slot) => Some(slot),
        // The shortcut may be missing when two processes leased for one holder and one of them was killed.
        None => slots(&ledger)?.into_iter().find(|(_, name)| name == holder).map(|(slot, _)| slot),
    };
    if let Some(slot) = slot {
        unlink(ledger.slots.as_fd(), &slot.to_string())?;
    }
    unlink(ledger.holders.as_fd(), holder)
}

fn slots(ledger: &Ledger) -> Result<Vec<(u32, String)>, Error> {
    let mut found = Vec::new();
    for name in place::names(ledger.slots.as_fd())? {
        let Ok(slot) = name.parse() else { continue };
        if let Some(holder) = ledger.holder_of(slot)? {
            found.push((slot, holder));
        }
    }
    found.sort();
    Ok(found)
}

/// As [`crate::Store::ranges`].
///
/// # Errors
/// As [`crate::Store::ranges`].
pub fn all(place: &Place) -> Result<Vec<(String, IdRange)>, Error> {
    let blocks = Blocks::of(place)?;
    let found = slots(&Ledger::open(place)?)?;
    Ok(found.into_iter().map(|(slot, holder)| (holder, blocks.range(slot))).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing;

    #[test]
    fn a_holder_keeps_its_range_and_others_get_others() {
        let site = testing::site();
        let place = site.place();
        let first = lease(&place, "one").unwrap();
        assert_eq!(lease(&place, "one").unwrap(), first);
        let second = lease(&place, "two").unwrap();
        assert!(!first.overlaps(&second));
        assert_eq!(all(&place).unwrap().len(), 2);
        release(&place, "one").unwrap();
        release(&place, "one").unwrap();
        release(&place, "never").unwrap();
        assert_eq!(all(&place).unwrap(), [("two".to_owned(), second)]);
        assert!(lease(&place, "../x").is_err());
    }

    #[test]
    fn interrupted_leases_and_releases_are_repaired() {
        let site = testing::site();
        let place = site.place();
        let range = lease(&place, "one").unwrap();
        let shortcut = site.root().join("ranges/by-holder/one");
        std::fs::remove_file(&shortcut).unwrap();
        assert_eq!(lease(&place, "one").unwrap(), range, "killed after the slot, before the shortcut");
        std::fs::remove_file(&shortcut).unwrap();
        release(&place, "one").unwrap();
        assert!(all(&place).unwrap().is_empty());
        let range = lease(&place, "one").unwrap();
        let slot = (range.base - ROOT_FIRST) / CONTAINER_IDS;
        std::fs::remove_file(site.root().join(format!("ranges/{slot}"))).unwrap();
        std::os::unix::fs::symlink("thief", site.root().join(format!("ranges/{slot}"))).unwrap();
        assert!(!lease(&place, "one").unwrap().overlaps(&range), "killed between the two removals of a release");
        release(&place, "one").unwrap();
        assert_eq!(all(&place).unwrap().len(), 1, "the other's entry stays");
    }

    #[test]
    fn blocks_of_subordinate_ids_are_passed_over() {
        let text = "alice:100000:65536\n\nbroken\nbob:1879048192:1\n";
        assert_eq!(subordinate(text).len(), 2);
        let blocks =
            Blocks { first: ROOT_FIRST, size: CONTAINER_IDS, slots: 4, taken: subordinate(text), lowest_first: true };
        assert!(!blocks.is_free_of_others(0) && blocks.is_free_of_others(1));
    }

    #[test]
    fn every_slot_is_tried_once_and_the_last_id_is_valid() {
        let blocks = Blocks::of_root();
        let order: BTreeSet<u32> = blocks.order("some holder").collect();
        assert_eq!(order.len(), ROOT_SLOTS as usize);
        let last = blocks.range(ROOT_SLOTS - 1);
        assert_eq!(last.base + (last.count - 1), 0x7FFE_FFFF);
        assert!(CONVERTER > last.base + (last.count - 1));
    }

    #[test]
    fn threads_never_share_a_range() {
        let site = testing::site();
        let mut bases = Vec::new();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|worker| {
                    let site = &site;
                    scope.spawn(move || {
                        let place = site.place();
                        // Half of the names are asked for by two workers at once.
                        let name = |n| format!("holder{}", if n % 2 == 0 { worker * 100 + n } else { n });
                        (0..40).map(|n| (name(n), lease(&place, &name(n)).unwrap())).collect::<Vec<_>>()
                    })
                })
                .collect();
            for worker in workers {
                bases.extend(worker.join().unwrap());
            }
        });
        let pairs: BTreeSet<_> = bases.into_iter().collect();
        let names: BTreeSet<_> = pairs.iter().map(|(name, _)| name).collect();
        let ranges: BTreeSet<_> = pairs.iter().map(|(_, range)| range).collect();
        assert_eq!((pairs.len(), ranges.len()), (names.len(), names.len()));
        assert_eq!(all(&site.place()).unwrap().len(), names.len());
    }

    const SITE: &str = "BULKHEAD_TEST_LEDGER";

    /// Leases and releases for ever; a second holder of the same range would meet its mark.
    fn work_until_killed(site: &std::path::Path) -> ! {
        let place = Place::open(&site.join("root"), &site.join("run")).unwrap();
        for round in 0.. {
            let holder = format!("p{}-{round}", std::process::id());
            let range = lease(&place, &holder).unwrap();
            let mark = site.join("marks").join(range.base.to_string());
            if let Err(error) = std::fs::File::create_new(&mark) {
                std::fs::write(site.join("shared"), format!("{holder}: {mark:?}: {error}")).unwrap();
            }
            if round % 3 != 0 {
                std::fs::remove_file(&mark).unwrap();
                release(&place, &holder).unwrap();
            }
        }
        unreachable!()
    }

    #[test]
    fn processes_that_are_killed_leave_a_whole_ledger() {
        if let Some(site) = std::env::var_os(SITE) {
            work_until_killed(std::path::Path::new(&site));
        }
        let site = testing::site();
        std::fs::create_dir(site.path().join("marks")).unwrap();
        for _ in 0..3 {
            let mut workers: Vec<_> = (0..6)
                .map(|_| {
                    std::process::Command::new(std::env::current_exe().unwrap())
                        .args(["--exact", "ranges::tests::processes_that_are_killed_leave_a_whole_ledger"])
                        .env(SITE, site.path())
                        .stdout(std::process::Stdio::null())
                        .spawn()
                        .unwrap()
                })
                .collect();
            std::thread::sleep(std::time::Duration::from_millis(150));
            for worker in &mut workers {
                worker.kill().unwrap();
                worker.wait().unwrap();
            }
        }
        let shared = std::fs::read_to_string(site.path().join("shared")).unwrap_or_default();
        assert_eq!(shared, "", "two holders had one range");
        let place = site.place();
        let found = all(&place).unwrap();
        assert!(found.len() > 6);
        let holders: BTreeSet<_> = found.iter().map(|(holder, _)| holder).collect();
        assert_eq!(holders.len(), found.len(), "one range a holder");
        for (holder, range) in &found {
            assert_eq!(lease(&place, holder).unwrap(), *range);
            release(&place, holder).unwrap();
        }
        assert!(all(&place).unwrap().is_empty());
    }
}
