//! Tests of a store inside a user namespace. Each runs its own test program again as "root" of a namespace that maps
//! 0 to an ordinary user and the rest to subordinate ids, as `newuidmap` would.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use bulkhead_types::IdRange;

use crate::Store;
use crate::testing::{self, inside};

const OUTSIDE: u32 = 0x7500_0000;
const MARK: &str = "BULKHEAD_TEST_SITE";

/// Runs the test of this name again inside; `None` in the outer run, the site's directory in the inner one.
fn enter(test: &str) -> Option<std::path::PathBuf> {
    if let Some(site) = std::env::var_os(MARK) {
        return Some(site.into());
    }
    if !testing::root() {
        return None;
    }
    let site = tempfile::tempdir().unwrap();
    chown(site.path(), Some(OUTSIDE), Some(OUTSIDE)).unwrap();
    let map = format!("0 {OUTSIDE} 1\n1 {} 65536\n", OUTSIDE + 1);
    let namespace = bulkhead_sys::idmap::namespace_with_map(&map, &map).unwrap();
    let user = format!("--user=/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
    let program = site.path().join("test-program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = std::process::Command::new("nsenter")
        .args([&user, "--setuid=0", "--setgid=0", "unshare", "--mount"])
        .arg(&program)
        .args(["--exact", &format!("rootless::{test}"), "--nocapture"])
        .env(MARK, site.path())
        .env("TMPDIR", site.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    None
}

fn store(site: &std::path::Path) -> Store {
    Store::open(&site.join("root"), &site.join("run")).unwrap()
}

/// What the layer conversion would write: a directory with the ids of the lowest range.
fn layer(site: &std::path::Path) -> bulkhead_types::Digest {
    let digest = bulkhead_types::Digest::from_bytes(bulkhead_types::Algorithm::Sha256, &[7; 32]).unwrap();
    let layers = site.join("root/layers");
    std::fs::create_dir_all(&layers).unwrap();
    let tree = layers.join(digest.hex());
    std::fs::create_dir_all(tree.join("etc")).unwrap();
    for (name, mode, owner) in [("etc/secret", 0o600, 0), ("etc/of33", 0o4755, 33), ("etc/nobodys", 0o644, 65_534)] {
        let ids = crate::ranges::canonical_map().unwrap();
        std::fs::write(tree.join(name), "text\n").unwrap();
        chown(tree.join(name), ids.to_host(owner).ok(), ids.to_host(owner).ok()).unwrap();
        std::fs::set_permissions(tree.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    chown(&tree, Some(1), Some(1)).unwrap();
    chown(tree.join("etc"), Some(1), Some(1)).unwrap();
    digest
}

fn in_range(root: &std::os::fd::OwnedFd, range: IdRange, script: &str) -> String {
    inside(root, range, script)
}

#[test]
fn ranges_are_cut_from_the_subordinate_ids() {
    let Some(site) = enter("ranges_are_cut_from_the_subordinate_ids") else { return };
    let store = store(&site);
    let first = store.lease_range("one").unwrap();
    assert_eq!(first, IdRange { base: 1, count: 2048 });
    assert_eq!(store.lease_range("two").unwrap(), IdRange { base: 2049, count: 2048 });
    for number in 2..32 {
        store.lease_range(&format!("more{number}")).unwrap();
    }
    let error = store.lease_range("one-too-many").unwrap_err();
    assert!(error.to_string().contains("add-subuids"), "{error}");
    store.release_range("one").unwrap();
    assert_eq!(store.lease_range("next").unwrap(), first);
}

#[test]
fn overlays_work_in_any_range() {
    let Some(site) = enter("overlays_work_in_any_range") else { return };
    let store = store(&site);
    let layer = layer(&site);
    let one = store.lease_range("one").unwrap();
    let two = store.lease_range("two").unwrap();
    store.create_upper("c").unwrap();
    let root = store.mount("c", std::slice::from_ref(&layer), &one.container_map()).unwrap();
    let script = "stat -c '%a %u' . etc/secret etc/of33 etc/nobodys; cat etc/secret; echo x > etc/new; \
                  rm etc/of33; chown 100:100 etc/new";
    assert_eq!(in_range(&root, one, script), "755 0\n600 0\n4755 33\n644 65534\ntext\n");
    drop(root);
    let root = store.mount("c", std::slice::from_ref(&layer), &two.container_map()).unwrap();
    assert_eq!(
        in_range(&root, two, "cat etc/secret; stat -c %u etc/new etc/secret; ls etc"),
        "text\n100\n0\nhostname\nhosts\nnew\nnobodys\nresolv.conf\nsecret\n"
    );
    assert!(in_range(&root, one, "cat etc/secret").contains("Permission denied"));
    let listed: Vec<String> = store
        .changes("c", &[layer])
        .unwrap()
        .iter()
        .map(|change| format!("{:?} {}", change.kind, change.path))
        .collect();
    assert_eq!(listed, ["Changed /etc", "Added /etc/new", "Deleted /etc/of33"]);
    let mut archive = Vec::new();
    let layers = store.layers().unwrap();
    assert_eq!(layers.len(), 1, "the shifted copy is no layer of its own");
    store.write_changes("c", &layers, &mut archive).unwrap();
    let mut reader = bulkhead_archive::tar::Reader::new(archive.as_slice(), bulkhead_archive::Limits::default());
    let mut owners = BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        owners.insert(String::from_utf8(entry.path.clone()).unwrap(), entry.uid);
    }
    assert_eq!(owners.get("etc/new"), Some(&100), "{owners:?}");
    let file = store.engine_file("c", "hosts", b"x", &two.container_map()).unwrap();
    assert_eq!(rustix::fs::fstat(&file).unwrap().st_uid, two.base);
    drop((root, file));
    store.remove_layer(&layers[0]).unwrap();
    assert!(store.layers().unwrap().is_empty());
}

#[test]
fn volumes_move_between_ranges_when_nobody_holds_them() {
    let Some(site) = enter("volumes_move_between_ranges_when_nobody_holds_them") else { return };
    let store = store(&site);
    let one = store.lease_range("one").unwrap();
    let two = store.lease_range("two").unwrap();
    store.create_volume(Some("data"), BTreeMap::new(), BTreeMap::new()).unwrap();
    let bound = store.mount_volume("data", None, &one.container_map(), None).unwrap();
    assert_eq!(in_range(&bound.mount, one, "echo x > f; chown 7 f; stat -c %u . f"), "0\n7\n");
    let error = store.mount_volume("data", None, &two.container_map(), None).unwrap_err();
    assert!(error.to_string().contains("container one"), "{error}");
    drop(bound);
    store.release_range("one").unwrap();
    let bound = store.mount_volume("data", None, &two.container_map(), None).unwrap();
    assert_eq!(in_range(&bound.mount, two, "stat -c %u . f"), "0\n7\n");
    assert_eq!(std::fs::metadata(store.volume_path("data").join("f")).unwrap().uid(), two.base + 7);
}
