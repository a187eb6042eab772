//! What both backends promise, tried on both: the same tree, the same refusals, nothing left behind.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use bulkhead_archive::compress::{Compression, encoder};
use bulkhead_archive::hash::Hasher;
use bulkhead_archive::tar::{Entry, Kind, Writer};
use bulkhead_sys::mount::{Filesystem, MountAttrFlags};
use bulkhead_sys::tree::{self, Descend, Visit, Visitor};
use rustix::fs::{FileType, OFlags};

use super::*;

/// As the room's own, by this process; the jailed one runs the same code, and the workspace's `rows` watch it.
fn stage(layers: &Root, diff_id: &Digest, blob: &mut dyn Read, backend: &Backend) -> Result<Staged, Error> {
    super::stage(layers, diff_id, blob, backend, &Converter::InProcess)
}

fn stage_within(
    layers: &Root,
    diff_id: &Digest,
    blob: &mut dyn Read,
    backend: &Backend,
    limits: Limits,
) -> Result<Staged, Error> {
    let place = begin(layers, diff_id, backend)?;
    take_in(blob, diff_id, backend, place.object(), limits)?;
    Ok(Staged::new(place, diff_id, backend))
}

fn backends() -> [Backend; 2] {
    [Backend::Erofs, Backend::Directory(Directory { user_xattrs: !owns_the_host(), ..Directory::default() })]
}

fn owns_the_host() -> bool {
    !bulkhead_sys::idmap::is_mapped().unwrap()
}

/// The backends that this user can write with: only root gives files away.
fn writable() -> Vec<Backend> {
    let mut backends = backends().to_vec();
    backends.truncate(if rustix::process::geteuid().is_root() { 2 } else { 1 });
    backends
}

/// False, with the reason printed, where these tests cannot run.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root() && owns_the_host();
    let must = std::env::var("BULKHEAD_MUST_RUN").is_ok_and(|what| what.contains("root"));
    assert!(root || !must, "this test must run as root");
    if !root {
        println!("skipped: needs root");
    }
    root
}

fn entry(path: &str, kind: Kind) -> Entry {
    let (mode, mtime) = (if kind == Kind::Directory { 0o755 } else { 0o640 }, 1_700_000_000);
    Entry { path: path.into(), kind, mode, uid: 3, gid: 4, mtime, mtime_nsec: 0, xattrs: Vec::new() }
}

fn file(path: &str, content: &[u8]) -> (Entry, Vec<u8>) {
    (entry(path, Kind::File { size: content.len() as u64 }), content.to_vec())
}

fn other(path: &str, kind: Kind) -> (Entry, Vec<u8>) {
    (entry(path, kind), Vec::new())
}

fn link(path: &str, target: &str) -> (Entry, Vec<u8>) {
    other(path, Kind::Hardlink { target: target.into() })
}

fn symlink(path: &str, target: &str) -> (Entry, Vec<u8>) {
    other(path, Kind::Symlink { target: target.into() })
}

fn archive(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, content) in entries {
        writer.append(entry, &mut &content[..]).unwrap();
    }
    writer.finish().unwrap()
}

fn packed(data: &[u8], how: Compression) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sink = encoder(&mut out, how).unwrap();
    sink.write_all(data).unwrap();
    sink.finish().unwrap();
    out
}

fn store() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open_trusted(dir.path()).unwrap();
    (dir, root)
}

/// Stages and commits; gives the root directory of what came out.
fn unpacked(bytes: &[u8], backend: &Backend) -> (tempfile::TempDir, OwnedFd) {
    let (dir, layers) = store();
    let diff_id = Hasher::sha256(bytes);
    let staged = stage(&layers, &diff_id, &mut &packed(bytes, Compression::Gzip)[..], backend).unwrap();
    assert!(list(&layers).unwrap().is_empty());
    sweep(&layers).unwrap();
    staged.commit().unwrap();
    assert!(list(&layers).unwrap() == std::slice::from_ref(&diff_id));
    assert!(std::fs::read_dir(dir.path().join("tmp")).unwrap().next().is_none());
    let root = opened(&dir.path().join(staging::file_name(&diff_id, backend)), backend);
    (dir, root)
}

fn opened(path: &Path, backend: &Backend) -> OwnedFd {
    let mount = match backend {
        Backend::Directory(_) => return std::fs::File::open(path).unwrap().into(),
        Backend::Erofs => {
            fsck(path);
            let filesystem = Filesystem::open("erofs").unwrap();
            filesystem.string("source", path.to_str().unwrap()).unwrap().flag("ro").unwrap();
            filesystem.create().unwrap().mount(MountAttrFlags::empty()).unwrap()
        }
    };
    rustix::fs::openat(&mount, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, rustix::fs::Mode::empty())
        .unwrap()
}

fn fsck(image: &Path) {
    // The program reads a whole file at once.
    let contents = if std::fs::metadata(image).unwrap().len() < 1 << 28 { vec!["--extract"] } else { vec![] };
    match std::process::Command::new("fsck.erofs").args(contents).arg(image).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => println!("fsck.erofs is not installed ({error})"),
    }
}

/// Every object as a line of text.
#[derive(Default)]
struct Listing {
    lines: BTreeMap<String, String>,
    first_names: BTreeMap<u64, String>,
}

impl Visitor for Listing {
    type Error = bulkhead_sys::SysError;

    fn visit(&mut self, visit: &Visit<'_>) -> bulkhead_sys::Result<Descend> {
        let path = String::from_utf8_lossy(visit.path).into_owned();
        let first = self.first_names.entry(visit.stat.st_ino).or_insert(path.clone()).clone();
        let line = describe(&visit.open(OFlags::PATH)?, visit.stat.st_mode);
        self.lines.insert(path, format!("{line} same as {first}"));
        Ok(Descend::Yes)
    }
}

fn describe(object: &OwnedFd, mode: u32) -> String {
    let path = bulkhead_sys::mount::descriptor_path(object.as_fd());
    let stat = rustix::fs::fstat(object).unwrap();
    let content = match FileType::from_raw_mode(mode) {
        FileType::RegularFile => {
            let content = std::fs::read(&path).unwrap();
            format!("file {} {}", content.len(), Hasher::sha256(&content).short())
        }
        FileType::Symlink => format!("-> {:?}", rustix::fs::readlinkat(object, "", Vec::new()).unwrap()),
        FileType::CharacterDevice => format!("char {}", stat.st_rdev),
        kind => format!("{kind:?}"),
    };
    let mut names = vec![0u8; 4096];
    let length = rustix::fs::listxattr(&path, &mut names).unwrap_or(0);
    let mut attributes: Vec<_> = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty() && *name != b"security.selinux")
        .map(|name| {
            let mut value = vec![0u8; 65536];
            let length = rustix::fs::getxattr(&path, name, &mut value).unwrap();
            value.truncate(length);
            let shown = if length > 30 {
                format!("{length} bytes {}", Hasher::sha256(&value).short())
            } else {
                format!("{value:?}")
            };
            format!("{}={shown}", String::from_utf8_lossy(name))
        })
        .collect();
    attributes.sort();
    let links = if FileType::from_raw_mode(mode) == FileType::Directory { 0 } else { stat.st_nlink };
    // A whiteout carries nothing but its kind.
    let time = if stat.st_rdev == 0 && content.starts_with("char") { 0 } else { stat.st_mtime };
    let (mode, uid, gid, nsec) = (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_mtime_nsec);
    let nsec = if content.starts_with("char") { 0 } else { nsec };
    format!("{mode:o} {uid}:{gid} {time}.{nsec} x{links} {content} {attributes:?}")
}

fn listing(root: &OwnedFd) -> BTreeMap<String, String> {
    let mut listing = Listing::default();
    listing.lines.insert(".".into(), describe(root, 0o040_000));
    tree::walk(root.as_fd(), &mut listing).unwrap();
    listing.lines
}

fn rich() -> Vec<(Entry, Vec<u8>)> {
    let mut entries = vec![other("", Kind::Directory), other("usr", Kind::Directory)];
    let mut program = file("usr/program", &vec![7; 10_000]);
    program.0.mode = 0o6755;
    program.0.mtime_nsec = 123_456_789;
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    program.0.xattrs = vec![
        (b"security.capability".to_vec(), capability.to_vec()),
        (b"security.selinux".to_vec(), b"dropped".to_vec()),
        (b"trusted.a".to_vec(), vec![0, 1, 2]),
        (b"user.empty".to_vec(), Vec::new()),
        (b"user.long".to_vec(), vec![b'v'; 1500]),
    ];
    entries.push(program);
    entries.push(link("usr/again", "usr/program"));
    entries.push(file("usr/empty", b""));
    entries.push(file("usr/block", &vec![1; 4096]));
    entries.push(file("implied/deep/down/file", b"x"));
    entries.push(symlink("usr/short", "../.."));
    entries.push(symlink("usr/long", &"l".repeat(4000)));
    entries.push(symlink("usr/longest", &"m".repeat(4080)));
    entries.push(link("usr/short2", "usr/short"));
    entries.push(other("usr/pipe", Kind::Fifo));
    entries.push(other("many", Kind::Directory));
    entries.extend((0..1000).map(|i| file(&format!("many/{i:0100}"), format!("{i}").as_bytes())));
    entries.extend((0..50).map(|i| symlink(&format!("many/-link{i}"), &"t".repeat(i * 60 + 1))));
    entries.push(other("usr/.wh.gone", Kind::File { size: 0 }));
    entries.push(other("gone2", Kind::CharDevice { major: 0, minor: 0 }));
    entries.push(other("usr/.wh..wh..opq", Kind::File { size: 0 }));
    entries.push(other(".wh..wh.plnk", Kind::Directory));
    entries.push(file(".wh..wh.plnk/123", b"aufs"));
    entries.push(other(".wh.replaced", Kind::File { size: 0 }));
    entries.push(file("replaced", b"new"));
    entries.push(other(".wh.renewed", Kind::File { size: 0 }));
    entries.push(file("renewed/in", b"new"));
    entries.push(file("kept/in", b"new"));
    entries.push(other(".wh.kept", Kind::File { size: 0 }));
    entries.push(other("dev/console", Kind::CharDevice { major: 5, minor: 1 }));
    let mut old = file("old", b"before 1970");
    (old.0.mtime, old.0.uid, old.0.gid) = (-5, 70_000, 65_535);
    entries.push(old);
    let mut usr = other("usr", Kind::Directory);
    usr.0.mode = 0o1777;
    entries.push(usr);
    entries
}

#[test]
fn both_backends_give_the_same_tree() {
    if !is_root() {
        return;
    }
    let bytes = archive(&rich());
    let [erofs, directory] = backends().map(|backend| {
        let (_keep, root) = unpacked(&bytes, &backend);
        listing(&root)
    });
    for (path, line) in &erofs {
        assert_eq!(Some(line), directory.get(path), "{path}");
    }
    assert_eq!(erofs.len(), directory.len());
    let has = |path: &str, text: &str| {
        let line = erofs.get(path).unwrap_or_else(|| panic!("{path} is missing"));
        assert!(line.contains(text), "{path}: {line}");
    };
    has("usr", "41777 3:4 1700000000.0 x0 Directory [\"trusted.overlay.opaque=[121]\"]");
    has("usr/program", "106755 3:4 1700000000.123456789 x2 file 10000");
    has("usr/program", "same as usr/again");
    has("usr/program", "\"trusted.a=[0, 1, 2]\", \"user.empty=[]\"");
    has("usr/gone", "char 0");
    has("gone2", "char 0");
    has("replaced", "file 3");
    has("renewed", "overlay.opaque");
    has("kept", "overlay.opaque");
    has("old", "65534:65535 -5.0");
    has("implied/deep", "40755 0:0");
    has("usr/short2", "x2 -> \"../..\"");
    assert!(!erofs.contains_key("dev/console") && !erofs.contains_key(".wh..wh.plnk"));
    assert!(!erofs["usr/program"].contains("selinux"));
    assert_eq!(erofs.len(), 1074);
}

#[test]
fn images_are_the_same_for_the_same_archive() {
    let bytes = archive(&rich());
    let images = [(), ()].map(|()| {
        let (dir, layers) = store();
        let diff_id = Hasher::sha256(&bytes);
        stage(&layers, &diff_id, &mut &bytes[..], &Backend::Erofs).unwrap().commit().unwrap();
        std::fs::read(dir.path().join(format!("{}.erofs", diff_id.hex()))).unwrap()
    });
    assert!(images[0] == images[1]);
}

#[test]
fn sparse_files_cost_no_space() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let sparse = std::fs::File::create(dir.path().join("sparse")).unwrap();
    sparse.write_all_at(b"middle", 3 << 30).unwrap();
    sparse.set_len(6 << 30).unwrap();
    let tar = std::process::Command::new("tar").args(["-S", "-cf", "-", "sparse"]).current_dir(dir.path()).output();
    let bytes = tar.unwrap().stdout;
    for backend in backends() {
        let (kept, root) = unpacked(&bytes, &backend);
        let layers = Root::open_trusted(kept.path()).unwrap();
        assert!(size(&layers, &Hasher::sha256(&bytes)) < 20 << 20 || matches!(backend, Backend::Directory(_)));
        let file = rustix::fs::openat(&root, "sparse", OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
        let file = std::fs::File::from(file);
        assert_eq!(file.metadata().unwrap().size(), 6 << 30);
        let mut middle = [1; 8];
        file.read_exact_at(&mut middle, (3 << 30) - 1).unwrap();
        assert_eq!(&middle, b"\0middle\0");
    }
}

#[test]
fn ids_are_shifted_for_ranges() {
    if !is_root() {
        return;
    }
    let ids = bulkhead_types::IdRange { base: 500_000, count: 2048 }.container_map();
    let how = Directory { base: Some(500_000), ids: Some(ids), user_xattrs: true };
    let mut stranger = file("stranger", b"");
    stranger.0.uid = 40_000;
    let bytes = archive(&[file("f", b"x"), other(".wh..wh..opq", Kind::File { size: 0 }), stranger]);
    let (_keep, root) = unpacked(&bytes, &Backend::Directory(how));
    let lines = listing(&root);
    assert!(lines["f"].contains("500003:500004") && lines["stranger"].contains("502047:500004"), "{lines:?}");
    assert!(lines["."].contains("500000:500000") && lines["."].contains("user.overlay.opaque"), "{lines:?}");
}

type Case = (&'static str, &'static str, Vec<(Entry, Vec<u8>)>);

/// Refused by what the tree holds; what the reader refuses is tried in the archive room.
fn hostile() -> Vec<Case> {
    let mut steering = file("steering", b"");
    steering.0.xattrs = vec![(b"trusted.overlay.redirect".to_vec(), b"/etc".to_vec())];
    let mut steering2 = file("steering", b"");
    steering2.0.xattrs = vec![(b"user.overlay.opaque".to_vec(), b"y".to_vec())];
    vec![
        ("write through a link", "out/passwd", vec![symlink("out", "/etc"), file("out/passwd", b"x")]),
        ("write through a relative link", "a/out/x", vec![symlink("a/out", "../.."), file("a/out/x", b"x")]),
        ("below a file", "f/x", vec![file("f", b""), file("f/x", b"")]),
        ("directory over a link", "\"l\"", vec![symlink("l", "/etc"), other("l", Kind::Directory)]),
        ("file twice", "\"f\"", vec![file("f", b"1"), file("f", b"2")]),
        ("file over a directory", "\"d\"", vec![other("d", Kind::Directory), file("d", b"")]),
        ("directory over a file", "\"d\"", vec![file("d", b""), other("d", Kind::Directory)]),
        ("link over itself", "\"f\"", vec![file("f", b""), link("f", "f")]),
        ("hard link out", "etc/shadow", vec![link("victim", "etc/shadow")]),
        ("hard link through a link", "l/shadow", vec![symlink("l", "/etc"), link("victim", "l/shadow")]),
        ("hard link to a later file", "later", vec![link("victim", "later"), file("later", b"")]),
        ("hard link to a directory", "\"d\"", vec![other("d", Kind::Directory), link("victim", "d")]),
        ("block device", "\"sda\"", vec![other("sda", Kind::BlockDevice { major: 8, minor: 0 })]),
        ("memory device", "x/dev/mem", vec![other("x/dev/mem", Kind::CharDevice { major: 1, minor: 1 })]),
        ("nameless whiteout", ".wh.", vec![file(".wh.", b"")]),
        ("whiteout of the parent", ".wh...", vec![file("a/.wh...", b"")]),
        ("below a whiteout", ".wh.x/y", vec![file(".wh.x/y", b"")]),
        ("redirect", "steering", vec![steering]),
        ("rootless opaque", "steering", vec![steering2]),
    ]
}

fn refusal(blob: &[u8], diff_id: &Digest, backend: &Backend, limits: Limits) -> String {
    let (dir, layers) = store();
    let error = stage_within(&layers, diff_id, &mut &blob[..], backend, limits).expect_err("a refusal").to_string();
    assert!(list(&layers).unwrap().is_empty());
    assert!(std::fs::read_dir(dir.path().join("tmp")).unwrap().next().is_none(), "something was left behind");
    error
}

#[test]
fn hostile_trees_are_refused_by_name_and_leave_nothing() {
    for backend in writable() {
        for (case, expected, entries) in hostile() {
            let bytes = archive(&entries);
            let error = refusal(&bytes, &Hasher::sha256(&bytes), &backend, Limits::default());
            assert!(error.contains("refused") && error.contains(expected), "{case}: {error}");
        }
    }
}

#[test]
fn damage_truncation_and_bombs_are_refused_and_leave_nothing() {
    let bytes = archive(&rich());
    let good = Hasher::sha256(&bytes);
    let zeros = archive(&[file("zeros", &vec![0; 8 << 20])]);
    for backend in writable() {
        let limits = Limits::default();
        let refused = |blob: &[u8], limits| refusal(blob, &good, &backend, limits);
        assert!(refused(&archive(&[file("f", b"other")]), limits).contains("is damaged"));
        assert!(refused(b"", limits).contains("is damaged"));
        for how in [Compression::Gzip, Compression::Zstd, Compression::None] {
            let blob = packed(&bytes, how);
            let middle = blob.len() / 2;
            refused(&blob[..middle], limits);
            refused(&blob[..blob.len() - 1], limits);
            refused(&[&blob[..], b"more"].concat(), limits);
            let mut flipped = blob.clone();
            flipped[middle] ^= 1;
            refused(&flipped, limits);
        }
        let bomb = packed(&zeros, Compression::Zstd);
        let small = Limits { ratio_after: 1 << 20, ..limits };
        assert!(refusal(&bomb, &Hasher::sha256(&zeros), &backend, small).contains("bomb"));
        let small = Limits { bytes: 1 << 20, ..limits };
        assert!(refusal(&bomb, &Hasher::sha256(&zeros), &backend, small).contains("zeros"));
        assert!(refused(&bytes, Limits { entries: 500, ..limits }).contains("500 entries"));
    }
}

#[test]
fn a_layer_without_an_end_mark_and_an_empty_one_are_read() {
    let bytes = archive(&[file("f", b"x")]);
    for backend in writable() {
        for bytes in [&bytes[..1024], &[0; 1024]] {
            let (_keep, layers) = store();
            stage(&layers, &Hasher::sha256(bytes), &mut &bytes[..], &backend).unwrap().commit().unwrap();
        }
    }
}

#[test]
fn crashed_stagings_are_swept_and_living_ones_are_not() {
    for backend in writable() {
        let (dir, layers) = store();
        let bytes = archive(&[file("f", b"x")]);
        let diff_id = Hasher::sha256(&bytes);
        let living = stage(&layers, &diff_id, &mut &bytes[..], &backend).unwrap();
        std::fs::create_dir_all(dir.path().join("tmp/crashed/x")).unwrap();
        std::fs::write(dir.path().join("tmp/crashed2"), "x").unwrap();
        sweep(&layers).unwrap();
        assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 1);
        // A second transfer of the same layer, committed first, wins; both answers are good.
        let second = stage(&layers, &diff_id, &mut &bytes[..], &backend).unwrap();
        second.commit().unwrap();
        living.commit().unwrap();
        assert!(size(&layers, &diff_id) > 0 || matches!(backend, Backend::Directory(_)));
        drop(stage(&layers, &diff_id, &mut &bytes[..], &backend).unwrap());
        assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }
}

#[test]
fn a_full_disk_leaves_nothing() {
    if !is_root() {
        return;
    }
    let tmpfs = Filesystem::open("tmpfs").unwrap();
    tmpfs.string("size", "1m").unwrap();
    let tmpfs = tmpfs.create().unwrap().mount(MountAttrFlags::empty()).unwrap();
    let layers = Root::new(tmpfs);
    let bytes = archive(&[file("f", &vec![1; 3 << 20])]);
    for backend in backends() {
        let error = stage(&layers, &Hasher::sha256(&bytes), &mut &bytes[..], &backend).unwrap_err().to_string();
        assert!(error.contains("No space left") && error.contains("prune"), "{error}");
        let left = layers.open("tmp", OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
        assert_eq!(tree::usage(left.as_fd()).unwrap().entries, 0);
    }
}

#[test]
fn killed_stagings_are_swept() {
    let bytes = archive(&rich());
    for (number, _) in writable().iter().enumerate() {
        let (dir, layers) = store();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "layer::contract::stage_standard_input", "--ignored"])
            .env("BULKHEAD_STAGE", format!("{number} {} {}", Hasher::sha256(&bytes), dir.path().display()))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut half = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut half, &bytes[..bytes.len() / 2]).unwrap();
        let staged = || std::fs::read_dir(dir.path().join("tmp")).is_ok_and(|mut tmp| tmp.next().is_some());
        for _ in 0..2000 {
            if staged() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        sweep(&layers).unwrap();
        assert!(staged(), "the living one was swept or never began");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(staged() && list(&layers).unwrap().is_empty());
        sweep(&layers).unwrap();
        assert!(!staged());
    }
}

/// The process that [`killed_stagings_are_swept`] kills.
#[test]
#[ignore = "a part of another test"]
fn stage_standard_input() {
    let what = std::env::var("BULKHEAD_STAGE").unwrap();
    let mut words = what.splitn(3, ' ');
    let mut next = || words.next().unwrap();
    let backend = writable().swap_remove(next().parse().unwrap());
    let diff_id: Digest = next().parse().unwrap();
    let layers = Root::open_trusted(Path::new(next())).unwrap();
    stage(&layers, &diff_id, &mut std::io::stdin(), &backend).unwrap();
}

mod any {
    use proptest::prelude::*;

    use super::*;

    fn path() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            6 => Just("a"), 4 => Just("b"), 2 => Just("dev"), 1 => Just(".wh.a"), 1 => Just(".wh.b"),
            1 => Just(".wh..wh..opq"), 1 => Just(".wh..wh.x"), 1 => Just("-"),
        ];
        proptest::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"))
    }

    fn any_entry() -> impl Strategy<Value = (Entry, Vec<u8>)> {
        let kind = prop_oneof![
            4 => proptest::collection::vec(any::<u8>(), 0..9000).prop_map(|c| (Kind::File { size: c.len() as u64 }, c)),
            4 => Just((Kind::Directory, vec![])),
            2 => prop_oneof![Just("/"), Just(".."), Just("a"), Just("/etc")]
                .prop_map(|target| (Kind::Symlink { target: target.into() }, vec![])),
            2 => path().prop_map(|target| (Kind::Hardlink { target: target.into() }, vec![])),
            1 => (0..2u32).prop_map(|minor| (Kind::CharDevice { major: 0, minor }, vec![])),
            1 => Just((Kind::Fifo, vec![])),
        ];
        let opaque = prop_oneof![
            8 => Just(vec![]),
            1 => Just(vec![(b"user.x".to_vec(), b"1".to_vec())]),
        ];
        (path(), kind, 0..0o10000u32, 0..70_000u32, 0..2_000_000_000i64, opaque).prop_map(
            |(path, (kind, content), mode, id, mtime, xattrs)| {
                let path = path.into_bytes();
                (Entry { path, kind, mode, uid: id, gid: id / 2, mtime, mtime_nsec: 0, xattrs }, content)
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Whatever the archive, both backends refuse it with the same words or make the same tree.
        #[test]
        fn trees_are_the_same_or_refused_alike(entries in proptest::collection::vec(any_entry(), 1..14)) {
            if is_root() {
                let mut accepted: Vec<(Entry, Vec<u8>)> = Vec::new();
                let mut index = Index::new();
                for (entry, content) in entries {
                    match index.place(&entry) {
                        Ok(_) => accepted.push((entry, content)),
                        Err(reason) => {
                            let bytes = archive(&[&accepted[..], &[(entry, content)]].concat());
                            for backend in backends() {
                                let error = refusal(&bytes, &Hasher::sha256(&bytes), &backend, Limits::default());
                                prop_assert!(error.ends_with(&reason), "{} {}", error, reason);
                            }
                            // Refused entries may have made their parents; begin anew.
                            index = Index::new();
                            for (entry, _) in &accepted {
                                index.place(entry).unwrap();
                            }
                        }
                    }
                }
                let bytes = archive(&accepted);
                let [erofs, directory] = backends().map(|backend| {
                    let (_keep, root) = unpacked(&bytes, &backend);
                    listing(&root)
                });
                prop_assert_eq!(erofs, directory);
            }
        }

        #[test]
        fn damaged_layers_never_panic_and_leave_nothing(
            entries in proptest::collection::vec(any_entry(), 1..6),
            at in any::<proptest::sample::Index>(),
            value in any::<u8>(),
        ) {
            let mut bytes = archive(&entries);
            let diff_id = Hasher::sha256(&bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= value | 1;
            for backend in writable() {
                refusal(&bytes, &diff_id, &backend, Limits::default());
            }
        }
    }
}

/// Set `BULKHEAD_LAYER` to a real, plain tar (a Debian root by `mmdebstrap`) to compare with what GNU tar makes of it.
#[test]
#[ignore = "needs BULKHEAD_LAYER"]
fn a_real_layer_is_what_gnu_tar_makes_of_it() {
    let tar = std::env::var("BULKHEAD_LAYER").unwrap();
    let bytes = std::fs::read(&tar).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", &tar, "-C"];
    assert!(std::process::Command::new("tar").args(arguments).arg(dir.path()).status().unwrap().success());
    let mut expected = listing(&std::fs::File::open(dir.path()).unwrap().into());
    let device =
        |path: &str, line: &str| path.starts_with("dev/") && (line.contains(" char ") || line.contains("Block"));
    expected.retain(|path, line| !device(path, line));
    for backend in backends() {
        let (_keep, root) = unpacked(&bytes, &backend);
        let found = listing(&root);
        if found["."].contains(" 0.0 ") {
            // The archive says nothing about the root itself.
            expected.insert(".".into(), found["."].clone());
        }
        for (path, line) in &expected {
            assert_eq!(found.get(path), Some(line), "{path}");
        }
        assert_eq!(found.len(), expected.len());
        println!("{} objects are the same in {backend:?}", found.len());
    }
}

/// Time and processor time of staging `BULKHEAD_BLOB` (compressed, with the diff id `BULKHEAD_DIFF_ID`) to `TMPDIR`.
#[test]
#[ignore = "a measurement"]
fn measure() {
    let diff_id: Digest = std::env::var("BULKHEAD_DIFF_ID").unwrap().parse().unwrap();
    let (_keep, layers) = store();
    for backend in backends() {
        let mut blob = std::fs::File::open(std::env::var("BULKHEAD_BLOB").unwrap()).unwrap();
        let start = std::time::Instant::now();
        let before = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let staged = stage(&layers, &diff_id, &mut blob, &backend).unwrap();
        let written = start.elapsed();
        staged.commit().unwrap();
        let after = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let cpu = (after.tv_sec - before.tv_sec) as f64 + (after.tv_nsec - before.tv_nsec) as f64 / 1e9;
        println!("{backend:?}: staged {written:?}, committed {:?}, processor {cpu:.3} s", start.elapsed());
    }
    let mut blob = std::fs::File::open(std::env::var("BULKHEAD_BLOB").unwrap()).unwrap();
    let start = std::time::Instant::now();
    let before = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let (_, source) = bulkhead_archive::compress::decoder(&mut blob, Limits::default()).unwrap();
    let mut source = bulkhead_archive::hash::HashingReader::new(source, diff_id.algorithm());
    let mut sink = std::fs::File::create(_keep.path().join("floor")).unwrap();
    let mut buffer = vec![0; 256 << 10];
    while let count @ 1.. = std::io::Read::read(&mut source, &mut buffer).unwrap() {
        std::io::Write::write_all(&mut sink, &buffer[..count]).unwrap();
    }
    let after = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu = (after.tv_sec - before.tv_sec) as f64 + (after.tv_nsec - before.tv_nsec) as f64 / 1e9;
    println!("floor (inflate, hash, write): {:?}, processor {cpu:.3} s", start.elapsed());
}
