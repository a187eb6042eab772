//! What every layer backend must do, run by each of them.

use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use bulkhead_types::{Digest, IdRange};

use crate::testing::{self, Kept, inside};

const FIRST: IdRange = IdRange { base: 0x7100_0000, count: 65_536 };
const SECOND: IdRange = IdRange { base: 0x7200_0000, count: 65_536 };

fn write(path: &Path, text: &str, mode: u32, owner: u32) {
    std::fs::write(path, text).unwrap();
    std::os::unix::fs::chown(path, Some(owner), Some(owner)).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// `<base>` layer and one above it that deletes and hides.
fn two_layers(site: &testing::Site, kept: Kept) -> [Digest; 2] {
    let below = site.layer(kept, 1, |tree| {
        std::fs::create_dir(tree.join("etc")).unwrap();
        std::fs::create_dir(tree.join("hidden")).unwrap();
        write(&tree.join("etc/secret"), "root only", 0o600, 0);
        write(&tree.join("etc/user"), "of user 1000", 0o640, 1000);
        write(&tree.join("etc/gone"), "x", 0o644, 0);
        write(&tree.join("hidden/old"), "x", 0o644, 0);
    });
    let above = site.layer(kept, 2, |tree| {
        std::fs::create_dir(tree.join("etc")).unwrap();
        std::fs::create_dir(tree.join("hidden")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            tree.join("etc/gone"),
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::empty(),
            0,
        )
        .unwrap();
        let opaque = "trusted.overlay.opaque";
        rustix::fs::lsetxattr(tree.join("hidden"), opaque, b"y", rustix::fs::XattrFlags::empty()).unwrap();
        write(&tree.join("hidden/new"), "x", 0o644, 0);
        std::fs::set_permissions(tree, std::fs::Permissions::from_mode(0o751)).unwrap();
    });
    [below, above]
}

fn overlay_reads_writes_and_hides(kept: Kept) {
    let site = testing::site();
    let store = site.store();
    let layers = two_layers(&site, kept);
    store.create_upper("c").unwrap();
    let root = store.mount("c", &layers, &FIRST.container_map()).unwrap();
    let seen = inside(&root, FIRST, "stat -c '%a %u %g' . etc/secret etc/user; cat etc/secret; ls etc hidden");
    assert_eq!(
        seen,
        "751 0 0\n600 0 0\n640 1000 1000\nroot onlyetc:\nhostname\nhosts\nresolv.conf\nsecret\nuser\n\nhidden:\nnew\n"
    );
    let script = "echo more >> etc/secret; echo mine > new; chown 33:44 new; rm etc/user; mkdir -m 700 d; mv d e; \
                  ln new hard; cat etc/secret; stat -c '%u %g %h' new";
    assert_eq!(inside(&root, FIRST, script), "root onlymore\n33 44 2\n");
    let up = site.root().join("uppers/c/up");
    let owner = |name: &str| {
        let data = std::fs::symlink_metadata(up.join(name)).unwrap();
        (data.uid(), data.gid())
    };
    assert_eq!((owner("new"), owner("etc/secret"), owner("e")), ((33, 44), (0, 0), (0, 0)), "ids on disk are its own");
    drop(root);
    let root = store.mount("c", &layers, &SECOND.container_map()).unwrap();
    assert_eq!(inside(&root, SECOND, "stat -c '%u %g' new; cat etc/secret"), "33 44\nroot onlymore\n", "other range");
    drop(root);
    store.remove_upper("c").unwrap();
    assert!(store.uppers().unwrap().is_empty());
}

fn ranges_cannot_read_each_other(kept: Kept) {
    let site = testing::site();
    let store = site.store();
    let layers = two_layers(&site, kept);
    for id in ["one", "two"] {
        store.create_upper(id).unwrap();
    }
    let one = store.mount("one", &layers, &FIRST.container_map()).unwrap();
    let two = store.mount("two", &layers, &SECOND.container_map()).unwrap();
    assert!(inside(&one, FIRST, "cat etc/secret").contains("root only"));
    assert!(inside(&one, SECOND, "cat etc/secret").contains("Permission denied"));
    assert!(inside(&two, FIRST, "echo x > etc/secret").contains("Permission denied"));
    assert!(inside(&two, SECOND, "echo x > etc/secret; cat etc/secret").contains('x'));
}

fn no_layer_and_many_layers(kept: Kept) {
    let site = testing::site();
    let store = site.store();
    for id in ["none", "many"] {
        store.create_upper(id).unwrap();
    }
    let none = store.mount("none", &[], &FIRST.container_map()).unwrap();
    assert_eq!(inside(&none, FIRST, "echo x > f; cat f; stat -c '%a %u' ."), "x\n755 0\n");
    let mut layers: Vec<Digest> = (1..=120)
        .map(|seed| site.layer(kept, seed, |tree| write(&tree.join(format!("f{seed}")), "x", 0o644, 0)))
        .collect();
    layers.push(layers[7].clone());
    let many = store.mount("many", &layers, &FIRST.container_map()).unwrap();
    assert_eq!(inside(&many, FIRST, "ls | grep -c ^f"), "120\n");
}

fn layers_are_listed_measured_and_removed(kept: Kept) {
    let site = testing::site();
    let store = site.store();
    let layers = two_layers(&site, kept);
    assert!(layers.iter().all(|layer| store.has_layer(layer) && store.layer_size(layer) > 0));
    assert_eq!(store.layers().unwrap(), layers);
    store.create_upper("c").unwrap();
    let root = store.mount("c", &layers, &FIRST.container_map()).unwrap();
    if kept == Kept::Erofs {
        assert!(store.remove_layer(&layers[0]).unwrap_err().to_string().contains("in use"));
    }
    drop(root);
    for layer in &layers {
        store.remove_layer(layer).unwrap();
    }
    assert!(store.layers().unwrap().is_empty());
    let error = store.mount("c", &layers, &FIRST.container_map()).unwrap_err();
    assert!(error.to_string().contains("pull or load"), "{error}");
}

fn many_starts_and_a_removal_at_once_never_show_an_empty_layer(kept: Kept) {
    let site = testing::site();
    let layers = two_layers(&site, kept);
    let start = |number: usize| {
        let store = site.store();
        let id = format!("c{number}");
        store.create_ephemeral_upper(&id).unwrap();
        for _ in 0..5 {
            match store.mount(&id, &layers, &FIRST.container_map()) {
                Ok(root) => assert!(store.read_file(root.as_fd(), "etc/secret", 99).unwrap().is_some()),
                Err(error) => assert!(error.to_string().contains("pull or load"), "{error}"),
            }
            store.settle();
        }
    };
    std::thread::scope(|scope| {
        for number in 0..6 {
            scope.spawn(move || start(number));
        }
        // Only images say that they are in use; a directory's users are known to the engine alone.
        if kept == Kept::Erofs {
            scope.spawn(|| {
                for _ in 0..3 {
                    if let Err(error) = site.store().remove_layer(&layers[0]) {
                        assert!(error.to_string().contains("in use"), "{error}");
                    }
                }
            });
        }
    });
    let mounted = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    for layer in &layers {
        let point = site.run().join("layers").join(layer.hex());
        assert!(mounted.matches(point.to_str().unwrap()).count() <= 1, "mounted once");
    }
}

fn small_files_are_read_inside_only(kept: Kept) {
    let site = testing::site();
    let store = site.store();
    let layer = site.layer(kept, 1, |tree| {
        std::fs::create_dir(tree.join("etc")).unwrap();
        write(&tree.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n", 0o644, 0);
        std::os::unix::fs::symlink("/../../../../etc/passwd", tree.join("link")).unwrap();
    });
    store.create_upper("c").unwrap();
    let root = store.mount("c", &[layer], &FIRST.container_map()).unwrap();
    let read = |path| store.read_file(root.as_fd(), path, 4096).unwrap();
    assert_eq!(read("/link").unwrap(), b"root:x:0:0::/root:/bin/sh\n");
    assert!(read("/etc/nothing").is_none() && read("/etc/passwd/x").is_none());
    assert!(store.read_file(root.as_fd(), "/etc/passwd", 5).is_err());
}

fn ephemeral_parts_can_be_mounted_again(kept: Kept) {
    let site = testing::site();
    let store = site.store();
    let layers = two_layers(&site, kept);
    store.create_ephemeral_upper("c").unwrap();
    for expected in ["root only", "root onlymore\n"] {
        let root = store.mount("c", &layers, &FIRST.container_map()).unwrap();
        let seen = inside(&root, FIRST, "cat etc/secret; echo more >> etc/secret; sync etc/secret");
        assert_eq!(seen, expected);
    }
    assert_eq!(store.changes("c", &layers).unwrap().len(), 1);
    store.remove_upper("c").unwrap();
}

fn engine_files_belong_to_root_inside(kept: Kept) {
    let site = testing::site();
    let store = site.store();
    let _ = kept;
    store.create_upper("c").unwrap();
    store.engine_file("c", "hosts", b"old", &FIRST.container_map()).unwrap();
    let file = store.engine_file("c", "hosts", b"127.0.0.1 localhost\n", &FIRST.container_map()).unwrap();
    let stat = rustix::fs::fstat(&file).unwrap();
    assert_eq!((stat.st_uid, stat.st_mode & 0o777, stat.st_size), (FIRST.base, 0o644, 20));
}

/// What a container does to [`two_layers`].
const EDIT: &str = "echo more >> etc/secret; rm etc/user; mkdir -p new/deep; echo n > new/deep/f; ln new/deep/f new/hard; \
    chown 12:34 new/deep/f; chmod 4755 new/deep/f; ln -s /nowhere new/link; mkfifo new/pipe; \
    rm -r hidden; mkdir hidden; echo h > hidden/fresh; touch tmp && rm tmp";

fn changed_container(site: &testing::Site, kept: Kept) -> (crate::Store, [Digest; 2]) {
    let store = site.store();
    let layers = two_layers(site, kept);
    store.create_upper("c").unwrap();
    let root = store.mount("c", &layers, &FIRST.container_map()).unwrap();
    assert_eq!(inside(&root, FIRST, EDIT), "");
    (store, layers)
}

fn changes_are_listed(kept: Kept) {
    let site = testing::site();
    let (store, layers) = changed_container(&site, kept);
    let listed: Vec<String> = store
        .changes("c", &layers)
        .unwrap()
        .into_iter()
        .map(|change| format!("{:?} {}", change.kind, change.path))
        .collect();
    assert_eq!(
        listed,
        [
            "Changed /etc",
            "Changed /etc/secret",
            "Deleted /etc/user",
            "Changed /hidden",
            "Added /hidden/fresh",
            "Deleted /hidden/new",
            "Added /new",
            "Added /new/deep",
            "Added /new/deep/f",
            "Added /new/hard",
            "Added /new/link",
            "Added /new/pipe",
        ]
    );
    assert!(store.upper_size("c").unwrap() > 0);
}

fn changes_become_a_layer(kept: Kept) {
    use bulkhead_archive::tar::{Kind, Reader};
    let site = testing::site();
    let (store, layers) = changed_container(&site, kept);
    let mut archive = Vec::new();
    store.write_changes("c", &layers, &mut archive).unwrap();
    let mut again = Vec::new();
    store.write_changes("c", &layers, &mut again).unwrap();
    assert_eq!(archive, again, "the same changes give the same bytes");
    let mut reader = Reader::new(archive.as_slice(), bulkhead_archive::Limits::default());
    let mut entries = std::collections::BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        entries.insert(String::from_utf8(entry.path.clone()).unwrap(), entry);
    }
    let names: Vec<&str> = entries.keys().map(String::as_str).collect();
    let expected = [
        "",
        "etc",
        "etc/.wh.user",
        "etc/secret",
        "hidden",
        "hidden/.wh..wh..opq",
        "hidden/fresh",
        "new",
        "new/deep",
        "new/deep/f",
        "new/hard",
        "new/link",
        "new/pipe",
    ];
    assert_eq!(names, expected);
    let file = &entries["new/deep/f"];
    assert_eq!((file.mode, file.uid, file.gid, &file.kind), (0o4755, 12, 34, &Kind::File { size: 2 }));
    assert_eq!(entries["new/hard"].kind, Kind::Hardlink { target: b"new/deep/f".to_vec() });
    assert_eq!(entries["new/link"].kind, Kind::Symlink { target: b"/nowhere".to_vec() });
    assert!(entries.values().all(|entry| entry.xattrs.is_empty()), "no mark of the overlay's own");
}

fn a_commit_gives_the_same_tree(kept: Kept) {
    let site = testing::site();
    let (store, layers) = changed_container(&site, kept);
    let mut archive = Vec::new();
    store.write_changes("c", &layers, &mut archive).unwrap();
    let digest = bulkhead_archive::hash::Hasher::sha256(&archive);
    store.stage_layer(&digest, &mut archive.as_slice()).unwrap().commit().unwrap();
    let [below, above] = layers.clone();
    store.create_upper("again").unwrap();
    let first = store.mount("c", &layers, &FIRST.container_map()).unwrap();
    let second = store.mount("again", &[below, above, digest], &SECOND.container_map()).unwrap();
    let describe = "find . | sort | while read f; do stat -c '%n %F %a %u %g %h' \"$f\"; done; cat etc/* hidden/* new/*/f; \
                    readlink new/link";
    let before = inside(&first, FIRST, describe);
    assert!(before.contains("./new/deep/f regular file 4755 12 34 2"), "{before}");
    // A directory's number of links is that of its subdirectories or 1, depending on the file system.
    let without_directory_links = |text: &str| -> Vec<String> {
        let shorten = |line: &str| match line.split_once(" directory ") {
            Some((name, rest)) => format!("{name} {}", rest.rsplit_once(' ').map_or(rest, |(front, _)| front)),
            None => line.to_owned(),
        };
        text.lines().map(shorten).collect()
    };
    assert_eq!(without_directory_links(&before), without_directory_links(&inside(&second, SECOND, describe)));
}

fn file_capabilities_survive_a_commit(kept: Kept) {
    let site = testing::site();
    let store = site.store();
    let layers = two_layers(&site, kept);
    store.create_upper("c").unwrap();
    let root = store.mount("c", &layers, &FIRST.container_map()).unwrap();
    // cap_net_raw+ep as setcap writes it: VFS_CAP_REVISION_2 with the effective bit.
    let script = "cp /bin/true tool; command -v setcap >/dev/null && setcap cap_net_raw+ep tool && getcap tool";
    let seen = inside(&root, FIRST, script);
    if !seen.contains("cap_net_raw") {
        println!("skipped: no setcap here: {seen}");
        return;
    }
    let mut archive = Vec::new();
    store.write_changes("c", &layers, &mut archive).unwrap();
    let mut reader = bulkhead_archive::tar::Reader::new(archive.as_slice(), bulkhead_archive::Limits::default());
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        found.extend(entry.xattrs.into_iter().map(|(name, value)| (entry.path.clone(), name, value)));
    }
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0.as_slice(), found[0].1.as_slice()), (b"tool".as_slice(), b"security.capability".as_slice()));
    assert_eq!(found[0].2.len(), 20, "version 2, which carries no host id: {:?}", found[0].2);
}

fn names_that_mean_deletions_are_refused_in_layers(kept: Kept) {
    let site = testing::site();
    let store = site.store();
    let layers = two_layers(&site, kept);
    store.create_upper("c").unwrap();
    let root = store.mount("c", &layers, &FIRST.container_map()).unwrap();
    assert_eq!(inside(&root, FIRST, "echo x > .wh.etc"), "");
    let error = store.write_changes("c", &layers, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("/.wh.etc"), "{error}");
}

macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod erofs { $(#[test] fn $name() { if crate::testing::root() { super::$name(crate::testing::Kept::Erofs) } })* }
        mod directory {
            $(#[test] fn $name() { if crate::testing::root() { super::$name(crate::testing::Kept::Directory) } })*
        }
    };
}

contract!(
    overlay_reads_writes_and_hides,
    ranges_cannot_read_each_other,
    no_layer_and_many_layers,
    layers_are_listed_measured_and_removed,
    many_starts_and_a_removal_at_once_never_show_an_empty_layer,
    small_files_are_read_inside_only,
    engine_files_belong_to_root_inside,
    ephemeral_parts_can_be_mounted_again,
    changes_are_listed,
    changes_become_a_layer,
    a_commit_gives_the_same_tree,
    file_capabilities_survive_a_commit,
    names_that_mean_deletions_are_refused_in_layers,
);

#[test]
fn a_loop_device_serves_where_files_cannot_be_mounted() {
    if !testing::root() {
        return;
    }
    let site = testing::site();
    let layer = site.layer(Kept::Erofs, 1, |tree| write(&tree.join("f"), "x", 0o644, 0));
    let image = std::fs::File::open(site.root().join(format!("layers/{}.erofs", layer.hex()))).unwrap();
    let mount = crate::shelf::over_loop(image.as_fd()).unwrap();
    assert_eq!(crate::uppers::read_file(mount.as_fd(), "f", 9).unwrap().unwrap(), b"x");
}
