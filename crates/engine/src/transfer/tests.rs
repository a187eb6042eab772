use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use super::*;

fn packed(path: &Path, options: &PackOptions) -> Vec<u8> {
    let mut tar = Vec::new();
    pack(path, options, &mut tar).unwrap();
    tar
}

fn unpacked(tar: &[u8], options: &UnpackOptions) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    unpack(dir.path(), options, &mut &tar[..]).unwrap();
    dir
}

fn sample() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    fs::create_dir_all(top.join("sub")).unwrap();
    fs::write(top.join("file"), "content").unwrap();
    fs::set_permissions(top.join("file"), fs::Permissions::from_mode(0o4750)).unwrap();
    fs::hard_link(top.join("file"), top.join("sub/hard")).unwrap();
    symlink("../outside", top.join("link")).unwrap();
    dir
}

#[test]
fn a_tree_comes_back() {
    let source = sample();
    let tar = packed(&source.path().join("top"), &PackOptions::default());
    let target = unpacked(&tar, &UnpackOptions::default());
    let at = |path: &str| target.path().join(path);
    assert_eq!(fs::read_to_string(at("top/file")).unwrap(), "content");
    assert_eq!(fs::read_link(at("top/link")).unwrap(), Path::new("../outside"));
    let (file, hard) = (fs::metadata(at("top/file")).unwrap(), fs::metadata(at("top/sub/hard")).unwrap());
    assert_eq!(file.ino(), hard.ino());
    assert_eq!(file.mode() & 0o7777, 0o4750);
    assert_eq!(
        fs::metadata(at("top/sub")).unwrap().mtime_nsec(),
        fs::metadata(source.path().join("top/sub")).unwrap().mtime_nsec()
    );
}

#[test]
fn the_host_takes_no_setuid_bit() {
    let source = sample();
    let tar = packed(&source.path().join("top"), &PackOptions::default());
    let target = unpacked(&tar, &UnpackOptions { host: true, ..UnpackOptions::default() });
    assert_eq!(fs::metadata(target.path().join("top/file")).unwrap().mode() & 0o7777, 0o750);
}

#[test]
fn names_change() {
    let source = sample();
    let rename =
        |from: &str, to: &str| UnpackOptions { rename: Some((from.into(), to.into())), ..UnpackOptions::default() };
    let tar = packed(&source.path().join("top"), &PackOptions::default());
    assert!(unpacked(&tar, &rename("top", "other")).path().join("other/sub/hard").exists());
    assert!(unpacked(&tar, &rename("top", "")).path().join("sub/hard").exists());
    let contents = packed(&source.path().join("top/."), &PackOptions::default());
    assert!(unpacked(&contents, &rename("", "new")).path().join("new/file").exists());
    assert!(unpacked(&contents, &UnpackOptions::default()).path().join("file").exists());
    let named = PackOptions { name: Some("x".into()), ..PackOptions::default() };
    assert!(
        unpacked(&packed(&source.path().join("top/file"), &named), &UnpackOptions::default()).path().join("x").exists()
    );
    let dir = tempfile::tempdir().unwrap();
    assert!(unpack(dir.path(), &rename("elsewhere", "x"), &mut &tar[..]).is_err());
    // What `cp` asks for where nothing is renamed: a forged archive reaches nothing beside its target.
    assert!(unpack(dir.path(), &rename("other", "other"), &mut &tar[..]).is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(unpacked(&tar, &rename("top", "top")).path().join("top/sub/hard").exists());
}

#[test]
fn links_are_followed_only_where_asked() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("real"), "x").unwrap();
    symlink("real", dir.path().join("link")).unwrap();
    let link = dir.path().join("link");
    let plain = unpacked(&packed(&link, &PackOptions::default()), &UnpackOptions::default());
    assert!(plain.path().join("link").symlink_metadata().unwrap().is_symlink());
    let follow = PackOptions { follow: true, ..PackOptions::default() };
    let followed = unpacked(&packed(&link, &follow), &UnpackOptions::default());
    assert!(followed.path().join("link").symlink_metadata().unwrap().is_file());
}

#[test]
fn nothing_leaves_the_directory() {
    let outside = tempfile::tempdir().unwrap();
    let source = tempfile::tempdir().unwrap();
    fs::create_dir(source.path().join("dir")).unwrap();
    fs::write(source.path().join("dir/evil"), "x").unwrap();
    let tar = packed(&source.path().join("dir"), &PackOptions::default());
    // A link of that name is in the way, as a first entry of a hostile archive would leave it.
    let target = tempfile::tempdir().unwrap();
    symlink(outside.path(), target.path().join("dir")).unwrap();
    assert!(unpack(target.path(), &UnpackOptions::default(), &mut &tar[..]).is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    // A file that is a link is replaced, not written through.
    fs::write(outside.path().join("victim"), "old").unwrap();
    let target = tempfile::tempdir().unwrap();
    symlink(outside.path().join("victim"), target.path().join("evil")).unwrap();
    let tar = packed(&source.path().join("dir/evil"), &PackOptions::default());
    unpack(target.path(), &UnpackOptions::default(), &mut &tar[..]).unwrap();
    assert_eq!(fs::read_to_string(outside.path().join("victim")).unwrap(), "old");
    assert_eq!(fs::read_to_string(target.path().join("evil")).unwrap(), "x");
}

#[test]
fn kinds_do_not_replace_each_other() {
    let source = sample();
    let tar = packed(&source.path().join("top"), &PackOptions::default());
    let target = tempfile::tempdir().unwrap();
    fs::write(target.path().join("top"), "file").unwrap();
    let error = unpack(target.path(), &UnpackOptions::default(), &mut &tar[..]).unwrap_err();
    assert!(error.message.contains("cannot overwrite non-directory with directory"), "{}", error.message);
    let target = tempfile::tempdir().unwrap();
    fs::create_dir_all(target.path().join("top/file")).unwrap();
    let error = unpack(target.path(), &UnpackOptions::default(), &mut &tar[..]).unwrap_err();
    assert!(error.message.contains("cannot overwrite directory with non-directory"), "{}", error.message);
}

#[test]
fn a_path_is_looked_at() {
    let dir = sample();
    let top = dir.path().join("top");
    let stat = |path: &Path| parse_stat(stat_json(path).unwrap().to_string().as_bytes()).unwrap();
    let file = stat(&top.join("file")).unwrap();
    assert_eq!((file.name.as_str(), file.size), ("file", 7));
    assert_eq!(stat(&top.join("link")).unwrap().link_target, "../outside");
    assert_eq!(stat(&top.join("none")), None);
    assert_eq!(stat(&top.join("file/none")), None);
    assert!(parse_stat(b"{}").is_err());
}
