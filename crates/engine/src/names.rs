//! Names of containers: one symbolic link a name, whose text is the id. A link is made with its content in one step,
//! so no crash leaves a name without an owner's id.

use bulkhead_types::{ContainerId, ContainerName};

use crate::layout::{self, Layout};
use crate::model::{Error, Result};

/// Claims a name for `id`.
///
/// # Errors
/// Conflict if a living container has it.
pub(crate) fn claim(layout: &Layout, name: &str, id: &ContainerId) -> Result<()> {
    let path = layout.name(name);
    loop {
        match std::os::unix::fs::symlink(id.as_str(), &path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::at(&path)(error)),
        }
        let Some(holder) = holder(layout, name)? else { continue };
        if holder == *id {
            return Ok(());
        }
        if is_alive(layout, &holder) {
            return Err(Error::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have to \
                 remove (or rename) that container to be able to reuse that name."
            )));
        }
        layout::remove_file(&path)?;
    }
}

/// A record, or somebody who is about to write one.
fn is_alive(layout: &Layout, id: &ContainerId) -> bool {
    layout.record(id.as_str()).exists() || layout.pending().join(id.as_str()).exists()
}

/// Who has this name.
///
/// # Errors
/// If the directory cannot be read.
pub(crate) fn holder(layout: &Layout, name: &str) -> Result<Option<ContainerId>> {
    let path = layout.name(name);
    match std::fs::read_link(&path) {
        Ok(text) => Ok(text.to_str().and_then(|text| text.parse().ok())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::at(&path)(error)),
    }
}

/// Gives a name back if `id` has it.
///
/// # Errors
/// If it cannot be removed.
pub(crate) fn release(layout: &Layout, name: &str, id: &ContainerId) -> Result<()> {
    if name.parse::<ContainerName>().is_ok() && holder(layout, name)?.as_ref() == Some(id) {
        layout::remove_file(&layout.name(name))?;
    }
    Ok(())
}

/// Claims a random name, `adjective_noun`, with a number behind it when many are taken.
///
/// # Errors
/// If no name can be written.
pub(crate) fn claim_random(layout: &Layout, id: &ContainerId) -> Result<String> {
    for attempt in 0..20u32 {
        let bytes = bulkhead_sys::random::bytes32()?;
        let pick = |words: &[&'static str], at: usize| {
            let number = usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1]);
            words[number % words.len()]
        };
        let mut name = format!("{}_{}", pick(ADJECTIVES, 0), pick(NOUNS, 2));
        if attempt > 2 {
            name.push_str(&(u32::from(bytes[4]) << 16 | u32::from(bytes[5]) << 8 | u32::from(bytes[6])).to_string());
        }
        match claim(layout, &name, id) {
            Ok(()) => return Ok(name),
            Err(error) if error.class == bulkhead_types::ErrorClass::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::internal("no free container name was found in 20 attempts; give one with --name"))
}

/// Calm words for a random name.
const ADJECTIVES: &[&str] = &[
    "able", "agile", "airy", "amber", "ample", "apt", "ardent", "august", "avid", "balmy", "bold", "brave", "breezy",
    "bright", "brisk", "calm", "candid", "casual", "civil", "clear", "clever", "cosy", "cordial", "crisp", "curious",
    "dapper", "daring", "deft", "eager", "earnest", "easy", "elated", "even", "exact", "fair", "famous", "fancy",
    "fine", "fleet", "fond", "frank", "free", "fresh", "gallant", "genial", "gentle", "glad", "golden", "grand",
    "happy", "hardy", "hearty", "honest", "humble", "ideal", "jolly", "jovial", "keen", "kind", "laconic", "lively",
    "loyal", "lucid", "lucky", "lunar", "mellow", "merry", "mild", "mindful", "modest", "neat", "nimble", "noble",
    "patient", "placid", "plucky", "polite", "prime", "proud", "quick", "quiet", "rapid", "ready", "robust", "serene",
    "sharp", "silent", "sleek", "smart", "snug", "solar", "solid", "spry", "stable", "steady", "stoic", "sturdy",
    "subtle", "sunny", "swift", "tidy", "tranquil", "trusty", "upbeat", "valiant", "vast", "vivid", "warm", "wise",
    "witty", "young", "zealous", "zesty",
];

/// Things of the sea and of ships, for a random name.
const NOUNS: &[&str] = &[
    "albatross",
    "anchor",
    "atoll",
    "ballast",
    "barge",
    "barnacle",
    "bay",
    "beacon",
    "berth",
    "bilge",
    "binnacle",
    "bollard",
    "boom",
    "bosun",
    "bow",
    "brig",
    "buoy",
    "cape",
    "capstan",
    "caravel",
    "chart",
    "cleat",
    "clipper",
    "coast",
    "compass",
    "coral",
    "cormorant",
    "cove",
    "cutter",
    "deck",
    "dinghy",
    "dock",
    "dolphin",
    "dory",
    "ferry",
    "fjord",
    "frigate",
    "galley",
    "gannet",
    "gull",
    "halyard",
    "harbour",
    "hatch",
    "hawser",
    "heron",
    "horizon",
    "hull",
    "island",
    "jetty",
    "jib",
    "kayak",
    "keel",
    "kelp",
    "ketch",
    "lagoon",
    "lantern",
    "lighthouse",
    "limpet",
    "lobster",
    "longboat",
    "lugger",
    "mainsail",
    "marlin",
    "mast",
    "mizzen",
    "mooring",
    "narwhal",
    "oar",
    "oyster",
    "packet",
    "pelican",
    "pier",
    "pilot",
    "plankton",
    "porpoise",
    "port",
    "prow",
    "puffin",
    "quay",
    "raft",
    "reef",
    "rigging",
    "rudder",
    "sail",
    "schooner",
    "seal",
    "sextant",
    "shoal",
    "shore",
    "skiff",
    "sloop",
    "sounding",
    "spar",
    "starfish",
    "stern",
    "strait",
    "swell",
    "tern",
    "tide",
    "tiller",
    "trawler",
    "trimaran",
    "tug",
    "walrus",
    "wave",
    "wharf",
    "whale",
    "winch",
    "yacht",
    "yawl",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(dir: &std::path::Path) -> Layout {
        let layout = Layout { root: dir.join("root"), run: dir.join("run") };
        layout.create().unwrap();
        layout
    }

    #[test]
    fn a_name_has_one_owner_until_he_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let layout = layout(dir.path());
        let (first, second) = (ContainerId::from_random([1; 32]), ContainerId::from_random([2; 32]));
        claim(&layout, "web", &first).unwrap();
        layout::make_private(&layout.container(first.as_str())).unwrap();
        layout::replace(&layout.record(first.as_str()), b"{}", false).unwrap();
        let error = claim(&layout, "web", &second).unwrap_err();
        assert!(error.message.starts_with("Conflict. The container name \"/web\" is already in use by container"));
        release(&layout, "web", &second).unwrap();
        assert_eq!(holder(&layout, "web").unwrap(), Some(first.clone()));
        layout::remove_dir(&layout.container(first.as_str())).unwrap();
        claim(&layout, "web", &second).unwrap();
        assert_eq!(holder(&layout, "web").unwrap(), Some(second));
    }

    #[test]
    fn random_names_are_valid_and_distinct() {
        let dir = tempfile::tempdir().unwrap();
        let layout = layout(dir.path());
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..50 {
            let id = ContainerId::from_random([number; 32]);
            layout::make_private(&layout.container(id.as_str())).unwrap();
            layout::replace(&layout.record(id.as_str()), b"{}", false).unwrap();
            let name = claim_random(&layout, &id).unwrap();
            assert!(name.parse::<ContainerName>().is_ok());
            assert!(seen.insert(name));
        }
    }

    #[test]
    fn no_word_is_listed_twice() {
        for words in [ADJECTIVES, NOUNS] {
            assert_eq!(words.iter().collect::<std::collections::BTreeSet<_>>().len(), words.len());
        }
    }
}
