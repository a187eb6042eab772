//! The tree of a layer in memory: what stands where, and what is refused. Both backends build on it, so that they
//! accept and refuse the same layers.
//!
//! Rules beyond those of the archive reader:
//!
//! | entry | what becomes of it |
//! |---|---|
//! | `.wh.NAME` | a whiteout of NAME, unless the layer itself has NAME (then a directory becomes opaque) |
//! | `.wh..wh..opq` | its directory becomes opaque |
//! | other names with `.wh..wh.` (aufs' own) | ignored |
//! | a character device 0/0 | a whiteout |
//! | other devices below `dev/` | left out: inside, `/dev` is a file system of its own, nobody could open them |
//! | other devices elsewhere | refused |
//! | a missing parent | a directory of root, mode 0755 |
//! | a directory twice | the later metadata holds |
//! | anything else twice; anything below what is no directory | refused |
//! | a hard link | to an earlier entry of this layer that is no directory, else refused |
//! | owners above 65535 | become 65534 (`nobody`), as they would look inside anyway |
//! | attributes `user.*`, `trusted.*`, `security.capability` | kept |
//! | attributes `trusted.overlay.*`, `user.overlay.*` | refused: they steer the kernel's overlay |
//! | other attributes (host policies like `security.selinux`) | left out |

use std::collections::BTreeMap;

use bulkhead_archive::tar::{Entry, Kind};

/// Number of the root directory.
pub(super) const ROOT: u32 = 0;
/// Bytes of metadata that one layer may hold in memory.
const MAX_MEMORY: usize = 512 << 20;
/// Bytes that a node costs beside its names and attributes.
const NODE_MEMORY: usize = 256;
/// Bytes of all attributes of one entry.
const MAX_ATTRIBUTES: usize = 64 << 10;
const WHITEOUT: &[u8] = b".wh.";
const AUFS: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const NOBODY: u32 = 65_534;

/// A name or value, and pairs of them.
type Attributes = Box<[(Vec<u8>, Vec<u8>)]>;
/// Why an entry is refused.
pub(super) type Reason = String;

/// The tree.
#[derive(Debug)]
pub(super) struct Index {
    nodes: Vec<Node>,
    memory: usize,
}

/// One object, under one name or more.
#[derive(Debug)]
pub(super) struct Node {
    pub metadata: Metadata,
    pub body: Body,
    /// Names; for a directory its subdirectories.
    pub links: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Metadata {
    /// Permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: i64,
    pub mtime_nsec: u32,
    /// Ascending by name.
    pub attributes: Attributes,
}

#[derive(Debug)]
pub(super) enum Body {
    File {
        size: u64,
        /// Where the EROFS backend put its content.
        block: u32,
    },
    Directory(Directory),
    Symlink(Box<[u8]>),
    Fifo,
    Whiteout,
}

#[derive(Debug, Default)]
pub(super) struct Directory {
    pub parent: u32,
    pub opaque: bool,
    pub children: BTreeMap<Box<[u8]>, u32>,
}

/// What an entry has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// Nothing to be done now: metadata, a whiteout, or left out.
    Noted,
    /// A file whose content comes now.
    File(u32),
    /// A symbolic link or a pipe.
    Special(u32),
    /// One more name of this node.
    Hardlink(u32),
}

impl Index {
    pub fn new() -> Self {
        let metadata = Metadata { mode: 0o755, ..Metadata::default() };
        let root = Node { metadata, body: Body::Directory(Directory::default()), links: 0 };
        Self { nodes: vec![root], memory: 0 }
    }

    pub fn node(&self, id: u32) -> &Node {
        &self.nodes[id as usize]
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn set_block(&mut self, id: u32, at: u32) {
        if let Body::File { block, .. } = &mut self.nodes[id as usize].body {
            *block = at;
        }
    }

    /// Takes in an entry, or says why not.
    pub fn place(&mut self, entry: &Entry) -> Result<Placed, Reason> {
        let mut components: Vec<&[u8]> = entry.path.split(|&byte| byte == b'/').collect();
        let Some(name) = components.pop().filter(|name| !name.is_empty()) else {
            self.nodes[ROOT as usize].metadata = self.metadata(entry)?;
            return Ok(Placed::Noted);
        };
        if components.iter().any(|part| part.starts_with(AUFS)) {
            return Ok(Placed::Noted);
        }
        if components.iter().any(|part| part.starts_with(WHITEOUT)) {
            return Err("it lies below a whiteout".into());
        }
        if name == OPAQUE {
            let parent = self.parents(&components)?;
            self.directory(parent)?.opaque = true;
            return Ok(Placed::Noted);
        }
        if name.starts_with(AUFS) || (is_device(&entry.kind) && components.first() == Some(&&b"dev"[..])) {
            return Ok(Placed::Noted);
        }
        let parent = self.parents(&components)?;
        match name.strip_prefix(WHITEOUT) {
            Some(hidden) => self.whiteout(parent, hidden),
            None => self.object(parent, name, entry),
        }
    }

    /// The directory of these components; what is missing is made.
    fn parents(&mut self, components: &[&[u8]]) -> Result<u32, Reason> {
        let mut here = ROOT;
        for name in components {
            let next = self.directory(here)?.children.get(*name).copied();
            here = match next.map(|id| (id, &self.node(id).body)) {
                Some((id, Body::Directory(_))) => id,
                None | Some((_, Body::Whiteout)) => {
                    let metadata = Metadata { mode: 0o755, ..Metadata::default() };
                    self.add_directory(here, name, metadata, next.is_some())?
                }
                Some(_) => {
                    let name = String::from_utf8_lossy(name);
                    return Err(format!("it lies below {name:?}, which is no directory in this layer"));
                }
            };
        }
        Ok(here)
    }

    fn directory(&mut self, id: u32) -> Result<&mut Directory, Reason> {
        match &mut self.nodes[id as usize].body {
            Body::Directory(directory) => Ok(directory),
            _ => Err("it lies below something that is no directory".into()),
        }
    }

    fn whiteout(&mut self, parent: u32, hidden: &[u8]) -> Result<Placed, Reason> {
        if matches!(hidden, b"" | b"." | b"..") {
            return Err("a whiteout without a name".into());
        }
        match self.directory(parent)?.children.get(hidden).copied() {
            None => {
                self.add(parent, hidden, Metadata::default(), Body::Whiteout)?;
            }
            Some(id) => {
                if let Body::Directory(directory) = &mut self.nodes[id as usize].body {
                    directory.opaque = true;
                }
            }
        }
        Ok(Placed::Noted)
    }

    fn object(&mut self, parent: u32, name: &[u8], entry: &Entry) -> Result<Placed, Reason> {
        let metadata = self.metadata(entry)?;
        let there = self.directory(parent)?.children.get(name).copied();
        let hides = match there.map(|id| (id, &mut self.nodes[id as usize])) {
            None => false,
            Some((_, Node { body: Body::Whiteout, .. })) => true,
            Some((_, node)) if entry.kind == Kind::Directory && matches!(node.body, Body::Directory(_)) => {
                node.metadata = metadata;
                return Ok(Placed::Noted);
            }
            Some(_) => return Err("it stands there twice in this layer".into()),
        };
        match &entry.kind {
            Kind::Directory => self.add_directory(parent, name, metadata, hides).map(|_| Placed::Noted),
            Kind::File { size } => {
                self.add(parent, name, metadata, Body::File { size: *size, block: 0 }).map(Placed::File)
            }
            Kind::Symlink { target } => {
                self.add(parent, name, metadata, Body::Symlink(target.clone().into())).map(Placed::Special)
            }
            Kind::Fifo => self.add(parent, name, metadata, Body::Fifo).map(Placed::Special),
            Kind::Hardlink { target } => self.hardlink(parent, name, target).map(Placed::Hardlink),
            Kind::CharDevice { major: 0, minor: 0 } => self.whiteout(parent, name),
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => {
                Err("a device, which an image may not bring along".into())
            }
        }
    }

    fn hardlink(&mut self, parent: u32, name: &[u8], target: &[u8]) -> Result<u32, Reason> {
        let lossy = String::from_utf8_lossy(target);
        let id = self
            .find(target)
            .ok_or_else(|| format!("a hard link to {lossy:?}, which is no earlier file of this layer"))?;
        if matches!(self.node(id).body, Body::Directory(_) | Body::Whiteout) {
            return Err(format!("a hard link to {lossy:?}, which is no file"));
        }
        self.charge(name.len())?;
        self.directory(parent)?.children.insert(name.into(), id);
        self.nodes[id as usize].links += 1;
        Ok(id)
    }

    fn find(&self, path: &[u8]) -> Option<u32> {
        path.split(|&byte| byte == b'/').try_fold(ROOT, |here, name| match &self.node(here).body {
            Body::Directory(directory) => directory.children.get(name).copied(),
            _ => None,
        })
    }

    fn add_directory(&mut self, parent: u32, name: &[u8], metadata: Metadata, opaque: bool) -> Result<u32, Reason> {
        let directory = Directory { parent, opaque, children: BTreeMap::new() };
        let id = self.add(parent, name, metadata, Body::Directory(directory))?;
        self.nodes[id as usize].links = 0;
        self.nodes[parent as usize].links += 1;
        Ok(id)
    }

    fn add(&mut self, parent: u32, name: &[u8], metadata: Metadata, body: Body) -> Result<u32, Reason> {
        let id = u32::try_from(self.nodes.len()).map_err(|_| "too many entries")?;
        self.charge(name.len() + if let Body::Symlink(target) = &body { target.len() } else { 0 })?;
        self.directory(parent)?.children.insert(name.into(), id);
        self.nodes.push(Node { metadata, body, links: 1 });
        Ok(id)
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Reason> {
        self.memory += NODE_MEMORY + bytes;
        if self.memory > MAX_MEMORY {
            return Err(format!("the names and attributes of this layer exceed the limit of {MAX_MEMORY} bytes"));
        }
        Ok(())
    }

    fn metadata(&mut self, entry: &Entry) -> Result<Metadata, Reason> {
        let owner = |id| if id > u32::from(u16::MAX) { NOBODY } else { id };
        let attributes = kept_attributes(entry)?;
        self.memory += attributes.iter().map(|(name, value)| name.len() + value.len() + 64).sum::<usize>();
        Ok(Metadata {
            mode: entry.mode & 0o7777,
            uid: owner(entry.uid),
            gid: owner(entry.gid),
            mtime: entry.mtime,
            mtime_nsec: entry.mtime_nsec,
            attributes,
        })
    }
}

fn is_device(kind: &Kind) -> bool {
    matches!(kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. })
        && *kind != Kind::CharDevice { major: 0, minor: 0 }
}

fn kept_attributes(entry: &Entry) -> Result<Attributes, Reason> {
    if entry.xattrs.is_empty() {
        return Ok(Attributes::default());
    }
    // The kernel gives `user.*` to files and directories only, and capabilities to files.
    let holds_user = matches!(entry.kind, Kind::File { .. } | Kind::Directory);
    let mut kept = Vec::new();
    for (name, value) in &entry.xattrs {
        let lossy = String::from_utf8_lossy(name);
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            return Err(format!("the attribute {lossy:?} belongs to the kernel's overlay"));
        }
        let keep = match name.split(|&byte| byte == b'.').next() {
            Some(b"user") => holds_user && name.len() > b"user.".len(),
            Some(b"trusted") => name.len() > b"trusted.".len(),
            _ => name == b"security.capability" && matches!(entry.kind, Kind::File { .. }),
        };
        if keep && (name.len() > 255 || value.len() > usize::from(u16::MAX) || name.contains(&0)) {
            return Err(format!("the attribute {lossy:?} is too long"));
        }
        if keep {
            kept.push((name.clone(), value.clone()));
        }
    }
    if kept.iter().map(|(name, value)| name.len() + value.len() + 8).sum::<usize>() > MAX_ATTRIBUTES {
        return Err(format!("its attributes exceed the limit of {MAX_ATTRIBUTES} bytes"));
    }
    kept.sort();
    Ok(kept.into())
}
