//! The words of `mount(8)`: from a list of options to attributes, propagation and what the file system itself is told.

use crate::foreign::Propagation;

/// `MOUNT_ATTR_…` of `linux/mount.h`.
mod bit {
    pub const RDONLY: u32 = 1;
    pub const NOSUID: u32 = 2;
    pub const NODEV: u32 = 4;
    pub const NOEXEC: u32 = 8;
    /// Mask of the three access time modes.
    pub const ATIME: u32 = 0x70;
    pub const RELATIME: u32 = 0;
    pub const NOATIME: u32 = 0x10;
    pub const STRICTATIME: u32 = 0x20;
    pub const NODIRATIME: u32 = 0x80;
    pub const NOSYMFOLLOW: u32 = 0x0020_0000;
}

/// What a list of words means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// A bind mount.
    pub bind: bool,
    /// With everything below it.
    pub recursive_bind: bool,
    /// `MOUNT_ATTR_…` to set on the mount.
    pub set: u32,
    /// `MOUNT_ATTR_…` to clear on the mount.
    pub clear: u32,
    /// To set on everything below too.
    pub recursive_set: u32,
    /// To clear on everything below too.
    pub recursive_clear: u32,
    /// With `true` for everything below too, in their order.
    pub propagation: Vec<(Propagation, bool)>,
    /// For the file system.
    pub data: Vec<(String, Option<String>)>,
    /// Fill a new tmpfs with what it covers.
    pub copy_up: bool,
    /// Map the ids, with `true` those of the mounts below too.
    pub idmap: Option<bool>,
}

/// Words that set or clear attributes: word, set, clear.
const ATTRIBUTES: &[(&str, u32, u32)] = &[
    ("ro", bit::RDONLY, 0),
    ("rw", 0, bit::RDONLY),
    ("nosuid", bit::NOSUID, 0),
    ("suid", 0, bit::NOSUID),
    ("nodev", bit::NODEV, 0),
    ("dev", 0, bit::NODEV),
    ("noexec", bit::NOEXEC, 0),
    ("exec", 0, bit::NOEXEC),
    ("noatime", bit::NOATIME, bit::ATIME),
    ("atime", bit::RELATIME, bit::ATIME),
    ("relatime", bit::RELATIME, bit::ATIME),
    ("norelatime", bit::RELATIME, bit::ATIME),
    ("strictatime", bit::STRICTATIME, bit::ATIME),
    ("nostrictatime", bit::RELATIME, bit::ATIME),
    ("nodiratime", bit::NODIRATIME, 0),
    ("diratime", 0, bit::NODIRATIME),
    ("nosymfollow", bit::NOSYMFOLLOW, 0),
    ("symfollow", 0, bit::NOSYMFOLLOW),
];

const PROPAGATIONS: &[(&str, Propagation)] = &[
    ("private", Propagation::Private),
    ("shared", Propagation::Shared),
    ("slave", Propagation::Slave),
    ("unbindable", Propagation::Unbindable),
];

/// Flags that belong to the file system as a whole.
const SUPER_BLOCK: &[&str] = &["sync", "dirsync", "lazytime", "mand"];

/// Words that ask for what is anyway.
const NOTHING: &[&str] = &[
    "defaults",
    "async",
    "nolazytime",
    "nomand",
    "loud",
    "silent",
    "nofail",
    "auto",
    "user",
    "iversion",
    "noiversion",
];

impl MountOptions {
    /// Reads the words in their order; a later one wins.
    ///
    /// # Errors
    /// The word that cannot be honoured, with the reason.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        for word in words {
            options.word(word)?;
        }
        Ok(options)
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        if let Some((_, set, clear)) = ATTRIBUTES.iter().find(|(name, ..)| *name == word) {
            change(&mut self.set, &mut self.clear, *set, *clear);
            return Ok(());
        }
        let inner = word.strip_prefix('r').unwrap_or_default();
        if let Some((_, set, clear)) = ATTRIBUTES.iter().find(|(name, ..)| *name == inner) {
            change(&mut self.recursive_set, &mut self.recursive_clear, *set, *clear);
            return Ok(());
        }
        let find = |name: &str| PROPAGATIONS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        if let Some(kind) = find(word) {
            self.propagation.push((kind, false));
        } else if let Some(kind) = find(inner) {
            self.propagation.push((kind, true));
        } else {
            match word {
                "bind" => self.bind = true,
                "rbind" => (self.bind, self.recursive_bind) = (true, true),
                "tmpcopyup" => self.copy_up = true,
                "idmap" => self.idmap = Some(false),
                "ridmap" => self.idmap = Some(true),
                "remount" => return Err("remount: nothing is mounted twice here; name the options once".to_owned()),
                _ if NOTHING.contains(&word) => {}
                _ if SUPER_BLOCK.contains(&word) => self.data.push((word.to_owned(), None)),
                "" => return Err("an empty word".to_owned()),
                _ => self.data.push(match word.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (word.to_owned(), None),
                }),
            }
        }
        Ok(())
    }

    /// Every word that is understood by itself, for lists of what is supported.
    #[must_use]
    pub fn words() -> Vec<String> {
        let mut words: Vec<String> = ["bind", "rbind", "tmpcopyup", "idmap", "ridmap"].map(str::to_owned).into();
        for (name, ..) in ATTRIBUTES {
            words.extend([(*name).to_owned(), format!("r{name}")]);
        }
        for (name, _) in PROPAGATIONS {
            words.extend([(*name).to_owned(), format!("r{name}")]);
        }
        words.extend(SUPER_BLOCK.iter().chain(NOTHING).map(|name| (*name).to_owned()));
        words.sort_unstable();
        words
    }
}

/// A later word wins over an earlier one.
fn change(set: &mut u32, clear: &mut u32, new_set: u32, new_clear: u32) {
    *set = *set & !new_clear | new_set;
    *clear = *clear & !(new_set & !bit::ATIME) | new_clear;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> MountOptions {
        MountOptions::parse(&text.split(',').map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn words_are_read_and_later_ones_win() {
        let docker = parse("rbind,ro,rprivate");
        assert!(docker.bind && docker.recursive_bind);
        assert_eq!((docker.set, docker.clear), (1, 0));
        assert_eq!(docker.propagation, [(Propagation::Private, true)]);
        let last = parse("ro,noatime,rw,strictatime,nosuid,rro,rnosuid");
        assert_eq!((last.set, last.clear), (0x20 | 2, 0x70 | 1));
        assert_eq!((last.recursive_set, last.recursive_clear), (1 | 2, 0));
        assert_eq!(parse("rw,ro").clear & 1, 0);
        let tmpfs = parse("nosuid,size=65536k,mode=755,sync,tmpcopyup,usrquota");
        let data = [("size", Some("65536k")), ("mode", Some("755")), ("sync", None), ("usrquota", None)];
        assert_eq!(tmpfs.data, data.map(|(key, value)| (key.to_owned(), value.map(str::to_owned))));
        assert!(tmpfs.copy_up);
        assert_eq!(parse("ridmap").idmap, Some(true));
        assert_eq!(parse("relatime,rw").set, 0);
        assert!(MountOptions::parse(&["remount".to_owned()]).is_err());
    }

    #[test]
    fn the_list_of_words_is_what_is_read() {
        for word in MountOptions::words() {
            let read = parse(&word);
            assert!(read.data.is_empty() || SUPER_BLOCK.contains(&word.as_str()), "{word}");
        }
    }
}
