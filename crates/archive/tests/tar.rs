//! The tar reader and writer against each other, against hostile archives, and against GNU tar and Python.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::too_many_lines, missing_docs)]

use std::io::{Cursor, Read};
use std::process::Command;

use bulkhead_archive::Limits;
use bulkhead_archive::tar::{Entry, Error, Kind, Reader, Writer};
use proptest::prelude::*;

fn entry(path: &str, kind: Kind) -> Entry {
    let xattrs = Vec::new();
    Entry { path: path.into(), kind, mode: 0o644, uid: 1, gid: 2, mtime: 1_700_000_000, mtime_nsec: 0, xattrs }
}

fn write(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, content) in entries {
        writer.append(entry, &mut &content[..]).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8], limits: Limits) -> Result<Vec<(Entry, Vec<u8>)>, Error> {
    let mut reader = Reader::new(bytes, limits);
    let mut out = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        reader.content().read_to_end(&mut content)?;
        out.push((entry, content));
    }
    reader.finish()?;
    Ok(out)
}

/// One raw header block with a right checksum.
fn raw(name: &[u8], flag: u8, size: u64, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name);
    for (at, text) in [(100, "0000644\0"), (108, "0000000\0"), (116, "0000000\0"), (136, "00000000000\0")] {
        block[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    change(&mut block);
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn plain(name: &[u8], flag: u8, size: u64) -> Vec<u8> {
    raw(name, flag, size, |_| {})
}

fn linked(name: &[u8], flag: u8, target: &[u8]) -> Vec<u8> {
    raw(name, flag, 0, |block| block[157..157 + target.len()].copy_from_slice(target))
}

fn padded(body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(512), 0);
    body
}

fn pax(flag: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (rest + 1..).find(|length| *length == rest + length.to_string().len()).unwrap();
        body.extend(format!("{length} {key}={value}\n").into_bytes());
    }
    [plain(b"pax", flag, body.len() as u64), padded(&body)].concat()
}

fn end() -> Vec<u8> {
    vec![0; 1024]
}

#[test]
fn hostile_archives_are_refused_with_the_entry_named() {
    let file = |name: &[u8]| [plain(name, b'0', 1), padded(b"x")].concat();
    let smuggled = || padded(&file(b"smuggled"));
    let cases: Vec<(&str, &str, Vec<Vec<u8>>)> = vec![
        ("dotdot", "..", vec![file(b"a/../../etc/passwd"), end()]),
        ("absolute", "absolute", vec![file(b"/etc/passwd"), end()]),
        ("dotdot link", "..", vec![linked(b"victim", b'1', b"../../etc/passwd"), end()]),
        ("absolute link", "absolute", vec![linked(b"victim", b'1', b"/etc/passwd"), end()]),
        ("directory with size", "victim", vec![plain(b"victim/", b'5', 1024), smuggled(), end()]),
        ("symlink with size", "victim", vec![plain(b"victim", b'2', 1024), smuggled(), end()]),
        ("hard link with size", "victim", vec![plain(b"victim", b'1', 1024), smuggled(), end()]),
        ("fifo with size", "victim", vec![plain(b"victim", b'6', 512), smuggled(), end()]),
        (
            "two pax",
            "contradict",
            vec![pax(b'x', &[("size", "1024")]), pax(b'x', &[("mtime", "1")]), file(b"a"), end()],
        ),
        ("double key", "twice", vec![pax(b'x', &[("path", "a"), ("path", "b")]), file(b"c"), end()]),
        ("double other key", "twice", vec![pax(b'x', &[("uname", "a"), ("uname", "b")]), file(b"c"), end()]),
        ("global size", "global", vec![pax(b'g', &[("size", "1024")]), file(b"a"), end()]),
        ("global path", "global", vec![pax(b'g', &[("path", "evil")]), file(b"a"), end()]),
        (
            "pax then global",
            "contradict",
            vec![pax(b'x', &[("path", "a")]), pax(b'g', &[("comment", "a")]), file(b"c"), end()],
        ),
        ("pax dotdot", "..", vec![pax(b'x', &[("path", "../a")]), file(b"c"), end()]),
        ("pax absolute", "absolute", vec![pax(b'x', &[("path", "/a")]), file(b"c"), end()]),
        ("pax NUL", "NUL", vec![pax(b'x', &[("path", "a\0b")]), file(b"c"), end()]),
        (
            "pax on a directory",
            "victim",
            vec![pax(b'x', &[("size", "512")]), plain(b"victim/", b'5', 0), smuggled(), end()],
        ),
        ("lone zero block", "zero block", vec![file(b"a"), vec![0; 512], file(b"b"), end()]),
        ("trailing entries", "follows the end", vec![file(b"a"), end(), file(b"b"), end()]),
        ("unknown type", "unknown type", vec![plain(b"a", b'7', 0), end()]),
        ("dump directory", "unknown type", vec![plain(b"a", b'D', 0), end()]),
        ("file with slash", "slash", vec![plain(b"a/", b'0', 0), end()]),
        ("truncated header", "truncated", vec![file(b"victim"), vec![1; 100]]),
        ("truncated content", "victim", vec![plain(b"victim", b'0', 5000), padded(b"x")]),
        ("no end", "truncated", vec![file(b"victim")]),
        ("pax at the end", "extension", vec![pax(b'x', &[("path", "a")]), end()]),
        ("huge pax", "limit", vec![plain(b"p", b'x', 1 << 30), end()]),
        ("huge name", "limit", vec![plain(b"p", b'L', 1 << 30), end()]),
        ("octal", "octal", vec![raw(b"victim", b'0', 0, |b| b[124..130].copy_from_slice(b"0x1000")), end()]),
        ("negative", "negative", vec![raw(b"victim", b'0', 0, |b| b[124..136].fill(0xff)), end()]),
        (
            "gnu with prefix",
            "access times",
            vec![
                raw(b"victim", b'0', 0, |b| {
                    b[257..265].copy_from_slice(b"ustar  \0");
                    b[345] = b'x';
                }),
                end(),
            ],
        ),
        (
            "v7 with prefix",
            "magic",
            vec![
                raw(b"victim", b'0', 0, |b| {
                    b[257..265].fill(0);
                    b[345] = b'x';
                }),
                end(),
            ],
        ),
        ("root as file", "root", vec![plain(b".", b'0', 0), end()]),
        ("empty name", "no name", vec![plain(b"", b'0', 0), end()]),
        (
            "sparse bomb",
            "limit",
            vec![
                pax(b'x', &[("GNU.sparse.size", "9000000000000000000"), ("GNU.sparse.map", "0,1")]),
                file(b"victim"),
                end(),
            ],
        ),
        (
            "sparse overlap",
            "overlap",
            vec![pax(b'x', &[("GNU.sparse.size", "10"), ("GNU.sparse.map", "0,1,0,1")]), file(b"victim"), end()],
        ),
        (
            "sparse outside",
            "leaves",
            vec![
                pax(b'x', &[("GNU.sparse.size", "10"), ("GNU.sparse.map", "18446744073709551615,1")]),
                file(b"victim"),
                end(),
            ],
        ),
    ];
    for (case, expected, parts) in cases {
        let error = read(&parts.concat(), Limits::default()).expect_err(case).to_string();
        let sparse_outside = case == "sparse outside" && error.contains("decimal");
        assert!(error.contains(expected) || sparse_outside, "{case}: {error}");
    }
    let mut bad = [file(b"victim"), end()].concat();
    bad[0] ^= 1;
    assert!(read(&bad, Limits::default()).unwrap_err().to_string().contains("checksum"));
}

#[test]
fn limits_hold() {
    let many: Vec<_> = (0..20).map(|i| (entry(&format!("f{i}"), Kind::File { size: 100 }), vec![1; 100])).collect();
    let bytes = write(&many);
    assert!(read(&bytes, Limits { entries: 20, bytes: 20_000, ..Limits::default() }).is_ok());
    let error = read(&bytes, Limits { entries: 10, ..Limits::default() }).unwrap_err().to_string();
    assert!(error.contains("10 entries"), "{error}");
    let error = read(&bytes, Limits { bytes: 1000, ..Limits::default() }).unwrap_err().to_string();
    assert!(error.contains("f10") && error.contains("1000 bytes"), "{error}");
    let globals = [pax(b'g', &[("comment", "a")]).repeat(50), end()].concat();
    assert!(read(&globals, Limits { entries: 10, ..Limits::default() }).is_err());
}

#[test]
fn harmless_shapes_are_read() {
    let dot = [plain(b"./", b'5', 0), plain(b"./usr//bin/./", b'5', 0), plain(b"old/", 0, 0), end()].concat();
    let names: Vec<_> = read(&dot, Limits::default()).unwrap().into_iter().map(|(e, _)| (e.path, e.kind)).collect();
    let directory = |name: &str| (name.as_bytes().to_vec(), Kind::Directory);
    assert_eq!(names, [directory(""), directory("usr/bin"), directory("old")]);
    let one_zero = [plain(b"a", b'0', 0), vec![0; 512]].concat();
    assert_eq!(read(&one_zero, Limits::default()).unwrap().len(), 1);
    let no_end = plain(b"a", b'0', 0);
    let mut reader = Reader::new(&no_end[..], Limits::default()).end_mark_optional();
    assert!(reader.next_entry().unwrap().is_some() && reader.next_entry().unwrap().is_none());
    reader.finish().unwrap();
    let padded_end = [plain(b"a", b'0', 0), vec![0; 10240]].concat();
    assert_eq!(read(&padded_end, Limits::default()).unwrap().len(), 1);
    let sparse = [
        pax(
            b'x',
            &[
                ("GNU.sparse.major", "1"),
                ("GNU.sparse.minor", "0"),
                ("GNU.sparse.realsize", "10"),
                ("GNU.sparse.name", "s"),
            ],
        ),
        plain(b"GNUSparseFile.0/s", b'0', 514),
        padded(b"2\n3\n2\n10\n0\n"),
        padded(b"ab"),
        end(),
    ]
    .concat();
    let out = read(&sparse, Limits::default()).unwrap();
    assert_eq!((&out[0].0.path[..], &out[0].1[..]), (&b"s"[..], &b"\0\0\0ab\0\0\0\0\0"[..]));
}

fn component() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'.'), Just(b' '), Just(0xe4), 1..=255u8], 1..60)
        .prop_map(|bytes| bytes.into_iter().filter(|byte| *byte != b'/').collect::<Vec<_>>())
        .prop_filter("clean", |part| !matches!(&part[..], b"" | b"." | b".."))
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(component(), 1..6).prop_map(|parts| parts.join(&b'/'))
}

fn any_entry() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let kind = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..2000).prop_map(|c| (Kind::File { size: c.len() as u64 }, c)),
        Just((Kind::Directory, vec![])),
        path().prop_map(|target| (Kind::Symlink { target }, vec![])),
        path().prop_map(|target| (Kind::Hardlink { target }, vec![])),
        (0..2_000_000u32, 0..2_000_000u32).prop_map(|(major, minor)| (Kind::CharDevice { major, minor }, vec![])),
        Just((Kind::BlockDevice { major: 8, minor: 1 }, vec![])),
        Just((Kind::Fifo, vec![])),
    ];
    let xattrs =
        proptest::collection::btree_map("user\\.[a-z]{1,9}", proptest::collection::vec(any::<u8>(), 0..50), 0..3);
    let ids = (0..u32::MAX, 0..u32::MAX);
    (path(), kind, 0..0o10000u32, ids, (-5_000_000_000..50_000_000_000i64, 0..1_000_000_000u32), xattrs).prop_map(
        |(path, (kind, content), mode, (uid, gid), (mtime, mtime_nsec), xattrs)| {
            let xattrs = xattrs.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
            (Entry { path, kind, mode, uid, gid, mtime, mtime_nsec, xattrs }, content)
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(entries in proptest::collection::vec(any_entry(), 0..8)) {
        let bytes = write(&entries);
        prop_assert_eq!(&bytes, &write(&entries));
        prop_assert_eq!(read(&bytes, Limits::default()).unwrap(), entries);
    }

    #[test]
    fn damaged_archives_never_panic(
        entries in proptest::collection::vec(any_entry(), 1..4),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        seal in any::<bool>(),
    ) {
        let mut bytes = write(&entries);
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
            if seal {
                let block = &mut bytes[at / 512 * 512..][..512];
                block[148..156].fill(b' ');
                let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        let limits = Limits { bytes: 1 << 20, entries: 100, ..Limits::default() };
        drop(read(&bytes, limits));
        drop(bulkhead_archive::compress::decoder(Cursor::new(bytes), limits).map(|mut d| std::io::copy(&mut d.1, &mut std::io::sink())));
    }
}

fn run(program: &str, arguments: &[&str], dir: &std::path::Path) -> Option<Vec<u8>> {
    let output = match Command::new(program).args(arguments).current_dir(dir).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("skipped: {program} is not installed ({error})");
            return None;
        }
    };
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

fn tree(dir: &std::path::Path, short: bool) {
    let long = "l".repeat(if short { 60 } else { 120 });
    std::fs::create_dir_all(dir.join("t").join(&long)).unwrap();
    std::fs::write(dir.join("t").join(&long).join("file"), b"content").unwrap();
    std::fs::hard_link(dir.join("t").join(&long).join("file"), dir.join("t/zz")).unwrap();
    std::os::unix::fs::symlink(&long, dir.join("t/link")).unwrap();
    let sparse = std::fs::File::create(dir.join("t/sparse")).unwrap();
    for part in 0..40u64 {
        std::os::unix::fs::FileExt::write_at(&sparse, b"data", part * 200_000 + 70_000).unwrap();
    }
    sparse.set_len(9_000_000).unwrap();
}

#[test]
fn reads_what_gnu_tar_and_python_write() {
    for short in [true, false] {
        read_what_others_write(short);
    }
}

/// With names that fit into a ustar header, and with longer ones.
fn read_what_others_write(short: bool) {
    let dir = tempfile::tempdir().unwrap();
    tree(dir.path(), short);
    let expected = std::fs::read(dir.path().join("t/sparse")).unwrap();
    let tars: [&[&str]; 8] = [
        &["--format=gnu", "-cf", "-", "t"],
        &["--format=pax", "-cf", "-", "./t"],
        &["--format=gnu", "-S", "-cf", "-", "t"],
        &["--format=pax", "-S", "--sparse-version=0.0", "-cf", "-", "t"],
        &["--format=pax", "-S", "--sparse-version=0.1", "-cf", "-", "t"],
        &["--format=pax", "-S", "--sparse-version=1.0", "-cf", "-", "t"],
        &["--format=ustar", "-cf", "-", "t"],
        &["--format=gnu", "--owner=3000000", "--group=3000000", "--mtime=@-5", "-cf", "-", "t"],
    ];
    let mut streams: Vec<(String, Vec<u8>)> = Vec::new();
    let long_in_ustar = |text: &str| text.contains("ustar") || text.contains("USTAR");
    for arguments in tars.into_iter().filter(|arguments| short || !long_in_ustar(arguments[0])) {
        streams.extend(run("tar", arguments, dir.path()).map(|out| (format!("{arguments:?}"), out)));
    }
    for format in
        ["USTAR_FORMAT", "GNU_FORMAT", "PAX_FORMAT"].into_iter().filter(|format| short || !long_in_ustar(format))
    {
        let script = format!(
            "import tarfile,sys\nt=tarfile.open(fileobj=sys.stdout.buffer,mode='w|',format=tarfile.{format})\nt.add('t')\nt.close()"
        );
        streams.extend(run("python3", &["-c", &script], dir.path()).map(|out| (format.to_owned(), out)));
    }
    for (how, bytes) in streams {
        let entries = read(&bytes, Limits::default()).unwrap_or_else(|error| panic!("{how}: {error}"));
        assert_eq!(entries.len(), 6, "{how}");
        let sparse = entries.iter().find(|(entry, _)| entry.path == b"t/sparse").unwrap();
        assert!(sparse.1 == expected && sparse.0.kind == Kind::File { size: 9_000_000 }, "{how}");
        assert!(entries.iter().any(|(entry, _)| matches!(entry.kind, Kind::Hardlink { .. })), "{how}");
    }
}

#[test]
fn gnu_tar_and_python_read_what_we_write() {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("d/{}/{}", "x".repeat(150), "y".repeat(200));
    let mut file = entry(&long, Kind::File { size: 5 });
    (file.uid, file.mtime_nsec) = (3_000_000, 500_000_000);
    file.xattrs = vec![(b"user.a".to_vec(), b"1\n2".to_vec())];
    let entries = [
        (entry("", Kind::Directory), vec![]),
        (entry("d", Kind::Directory), vec![]),
        (file, b"hello".to_vec()),
        (entry("hard", Kind::Hardlink { target: long.clone().into_bytes() }), vec![]),
        (entry("soft", Kind::Symlink { target: b"t".repeat(150) }), vec![]),
        (entry("null", Kind::CharDevice { major: 1, minor: 3 }), vec![]),
    ];
    let bytes = write(&entries);
    std::fs::write(dir.path().join("a.tar"), &bytes).unwrap();
    if let Some(listing) = run("tar", &["-tvf", "a.tar", "--numeric-owner"], dir.path()) {
        let listing = String::from_utf8(listing).unwrap();
        assert_eq!(listing.lines().count(), 6, "{listing}");
        assert!(listing.contains("3000000/2") && listing.contains("1,3") && listing.contains(&long), "{listing}");
    }
    let script = "import tarfile\nfor m in tarfile.open('a.tar'): print(m.name, m.uid, m.mtime, m.pax_headers.get('SCHILY.xattr.user.a'))";
    if let Some(listing) = run("python3", &["-c", script], dir.path()) {
        let listing = String::from_utf8(listing).unwrap();
        assert!(listing.contains(&format!("{long} 3000000 1700000000.5 1\n2")), "{listing}");
    }
}
