//! Tests of volumes and binds: one tree on disk, containers with different ranges.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

use bulkhead_types::IdRange;

use crate::testing::{self, Kept, inside};
use crate::{BindOptions, Store};

const FIRST: IdRange = IdRange { base: 0x7100_0000, count: 65_536 };
const SECOND: IdRange = IdRange { base: 0x7200_0000, count: 65_536 };

fn make(store: &Store, name: &str, options: &[(&str, &str)]) -> Result<crate::Volume, crate::Error> {
    let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    store.create_volume(Some(name), BTreeMap::new(), options)
}

#[test]
fn a_volume_is_shared_by_two_ranges() {
    if !testing::root() {
        return;
    }
    let site = testing::site();
    let store = site.store();
    make(&store, "data", &[]).unwrap();
    let one = store.mount_volume("data", None, &FIRST.container_map(), None).unwrap();
    let two = store.mount_volume("data", None, &SECOND.container_map(), None).unwrap();
    assert!(!one.file);
    assert_eq!(inside(&one.mount, FIRST, "echo hi > f; chmod 600 f; echo u > g; chown 1000:50 g"), "");
    assert_eq!(inside(&two.mount, SECOND, "cat f; stat -c '%u %g' f g; echo more >> f"), "hi\n0 0\n1000 50\n");
    assert_eq!(inside(&one.mount, FIRST, "cat f"), "hi\nmore\n");
    let data = std::fs::metadata(store.volume_path("data").join("g")).unwrap();
    assert_eq!((data.uid(), data.gid()), (1000, 50), "ids on disk are the containers' own");
    assert_eq!(store.volume_size("data").unwrap(), 10);
    drop((one, two));
    store.remove_volume("data").unwrap();
    assert!(store.volume("data").unwrap().is_none() && store.volumes().unwrap().is_empty());
    assert!(store.remove_volume("data").is_err());
}

#[test]
fn volumes_are_named_listed_and_kept() {
    let site = testing::site();
    let store = site.store();
    let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let first = store.create_volume(Some("vol"), labels, BTreeMap::new()).unwrap();
    assert_eq!(make(&store, "vol", &[]).unwrap(), first, "an existing one is returned as it is");
    let anonymous = store.create_volume(None, BTreeMap::new(), BTreeMap::new()).unwrap();
    assert!(anonymous.anonymous && anonymous.name.len() == 64);
    assert_eq!(store.volumes().unwrap().len(), 2);
    for bad in ["", "a", "../x", ".hidden", "a/b", "/vol"] {
        assert!(make(&store, bad, &[]).is_err(), "{bad:?}");
        assert!(store.volume(bad).unwrap().is_none());
    }
    for (key, value, word) in [("type", "nfs", "nfs"), ("size", "1g", "size"), ("o", "addr=1.2.3.4", "addr")] {
        let error = make(&store, "other", &[(key, value)]).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(store.mount_volume("missing", None, &FIRST.container_map(), None).is_err());
}

#[test]
fn an_empty_volume_takes_the_images_content_once() {
    if !testing::root() {
        return;
    }
    let site = testing::site();
    let store = site.store();
    let layer = site.layer(Kept::Directory, 1, |tree| {
        std::fs::create_dir_all(tree.join("srv/www")).unwrap();
        std::fs::write(tree.join("srv/www/index"), "hello").unwrap();
        chown(tree.join("srv/www/index"), Some(33), Some(33)).unwrap();
        chown(tree.join("srv/www"), Some(33), Some(33)).unwrap();
        std::fs::set_permissions(tree.join("srv/www"), std::fs::Permissions::from_mode(0o750)).unwrap();
        symlink("srv/www", tree.join("link")).unwrap();
    });
    store.create_upper("c").unwrap();
    let ids = FIRST.container_map();
    let root = store.mount("c", &[layer], &ids).unwrap();
    make(&store, "web", &[]).unwrap();
    let bound = store.mount_volume("web", None, &ids, Some((root.as_fd(), "/link"))).unwrap();
    let seen = inside(&bound.mount, FIRST, "stat -c '%a %u %g' . index; cat index; rm index; echo mine > own");
    assert_eq!(seen, "750 33 33\n644 33 33\nhello");
    let again = store.mount_volume("web", None, &ids, Some((root.as_fd(), "/link"))).unwrap();
    assert_eq!(inside(&again.mount, FIRST, "ls"), "own\n", "one with content is left alone");
    // A copy that was killed is begun anew.
    std::fs::write(site.root().join("volumes/web/populating"), "").unwrap();
    let repaired = store.mount_volume("web", None, &ids, Some((root.as_fd(), "/link"))).unwrap();
    assert_eq!(inside(&repaired.mount, FIRST, "ls"), "index\n");
    make(&store, "none", &[]).unwrap();
    assert!(store.mount_volume("none", None, &ids, Some((root.as_fd(), "/missing"))).is_ok());
}

#[test]
fn hostile_links_in_a_volume_do_not_lead_out() {
    if !testing::root() {
        return;
    }
    let site = testing::site();
    let store = site.store();
    make(&store, "data", &[]).unwrap();
    let data = store.volume_path("data");
    symlink("/etc", data.join("absolute")).unwrap();
    symlink("../../../..", data.join("up")).unwrap();
    symlink("inside", data.join("fine")).unwrap();
    std::fs::create_dir(data.join("inside")).unwrap();
    let ids = FIRST.container_map();
    for path in ["absolute", "up", "absolute/passwd", "..", "/etc", "up/etc", "inside/../../.."] {
        let error = store.mount_volume("data", Some(path), &ids, None).unwrap_err();
        assert!(error.to_string().contains("leads out"), "{path}: {error}");
    }
    assert!(store.mount_volume("data", Some("fine"), &ids, None).is_ok());
    assert!(store.mount_volume("data", Some("missing"), &ids, None).unwrap_err().to_string().contains("there is no"));
}

#[test]
fn volumes_in_memory_and_of_host_folders() {
    if !testing::root() {
        return;
    }
    let site = testing::site();
    let store = site.store();
    make(&store, "ram", &[("type", "tmpfs"), ("o", "size=1m,mode=0711")]).unwrap();
    let ids = FIRST.container_map();
    let one = store.mount_volume("ram", None, &ids, None).unwrap();
    assert_eq!(inside(&one.mount, FIRST, "echo x > f; stat -f -c %T .; stat -c %a ."), "tmpfs\n711\n");
    let two = store.mount_volume("ram", None, &SECOND.container_map(), None).unwrap();
    assert_eq!(inside(&two.mount, SECOND, "cat f"), "x\n");
    assert_eq!(store.volume_size("ram").unwrap(), 2);
    drop((one, two));
    store.remove_volume("ram").unwrap();
    assert_eq!(std::fs::read_dir(site.run().join("volumes")).unwrap().count(), 1, "only the lock is left");
    let host = site.path().join("host");
    std::fs::create_dir(&host).unwrap();
    make(&store, "host", &[("type", "none"), ("o", "bind"), ("device", host.to_str().unwrap())]).unwrap();
    let bound = store.mount_volume("host", None, &ids, None).unwrap();
    assert_eq!(inside(&bound.mount, FIRST, "echo x > f"), "");
    assert!(host.join("f").exists());
}

#[test]
fn a_folder_of_a_user_belongs_to_root_inside() {
    if !testing::root() {
        return;
    }
    let site = testing::site();
    let store = site.store();
    let folder = site.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    chown(&folder, Some(1234), Some(1234)).unwrap();
    std::fs::write(folder.join("roots"), "x").unwrap();
    let bound = store.bind(&folder, &FIRST.container_map(), BindOptions { recursive: true, create: false }).unwrap();
    let seen = inside(&bound.mount, FIRST, "stat -c %u . roots; echo x > f; echo y > g; chown 33 g; chown 1234 f");
    assert!(seen.starts_with("0\n65534\n") && seen.contains("chown: changing ownership of 'f'"), "{seen}");
    let owner = |name: &str| std::fs::metadata(folder.join(name)).unwrap().uid();
    assert_eq!((owner("f"), owner("g")), (1234, 33));
    let file = store.bind(&folder.join("f"), &FIRST.container_map(), BindOptions::default()).unwrap();
    assert!(file.file && file.resolved.ends_with("folder/f"));
}

#[test]
fn missing_sources_are_made_only_when_asked() {
    if !testing::root() {
        return;
    }
    let site = testing::site();
    let store = site.store();
    let ids = FIRST.container_map();
    let path = site.path().join("a/b/c");
    let error = store.bind(&path, &ids, BindOptions { recursive: true, create: false }).unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    store.bind(&path, &ids, BindOptions { recursive: true, create: true }).unwrap();
    assert!(path.is_dir());
    assert!(store.bind(std::path::Path::new("relative"), &ids, BindOptions::default()).is_err());
}

#[test]
fn engine_sockets_and_our_own_directories_are_refused() {
    if !testing::root() {
        return;
    }
    let site = testing::site();
    let store = site.store();
    make(&store, "data", &[]).unwrap();
    let ids = FIRST.container_map();
    let _listener = std::os::unix::net::UnixListener::bind(site.path().join("docker.sock")).unwrap();
    symlink("docker.sock", site.path().join("harmless")).unwrap();
    symlink(site.root(), site.path().join("alias")).unwrap();
    let data = store.volume_path("data");
    let refused = ["docker.sock", "harmless", "root", "run", "alias", "root/volumes", "."];
    let refused = refused.iter().map(|name| site.path().join(name)).chain([data, "/".into(), "/tmp".into()]);
    for path in refused {
        let error = store.bind(&path, &ids, BindOptions { recursive: true, create: false }).unwrap_err();
        assert_eq!(error.class, bulkhead_types::ErrorClass::Denied, "{}: {error}", path.display());
    }
}

#[test]
fn a_filesystem_that_cannot_translate_owners_is_named() {
    if !testing::root() {
        return;
    }
    let site = testing::site();
    let options = BindOptions { recursive: false, create: false };
    let error = site.store().bind(std::path::Path::new("/proc/sys"), &FIRST.container_map(), options).unwrap_err();
    assert!(error.to_string().contains("cannot translate owners"), "{error}");
}

/// A file system in a file; `None` if this machine cannot make or mount it.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(make: &[&str]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let (file, point) = (dir.path().join("disk"), dir.path().join("mnt"));
        std::fs::File::create(&file).unwrap().set_len(320 << 20).unwrap();
        std::fs::create_dir(&point).unwrap();
        let run = |program: &str, args: &[&std::ffi::OsStr]| {
            std::process::Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
        };
        let words: Vec<&std::ffi::OsStr> =
            make[1..].iter().map(std::ffi::OsStr::new).chain([file.as_os_str()]).collect();
        if !run(make[0], &words) || !run("mount", &["-o".as_ref(), "loop".as_ref(), file.as_ref(), point.as_ref()]) {
            println!("skipped: {} cannot be made and mounted here", make[0]);
            return None;
        }
        Some(Self(dir))
    }

    fn store(&self) -> Store {
        Store::open(&self.0.path().join("mnt/root"), &self.0.path().join("run")).unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        bulkhead_sys::mount::unmount(&self.0.path().join("mnt"), true).unwrap();
    }
}

#[test]
fn stores_work_on_the_common_file_systems_and_others_are_refused_by_name() {
    if !testing::root() {
        return;
    }
    for make in [&["mkfs.ext4", "-q"][..], &["mkfs.xfs", "-q"], &["mkfs.btrfs", "-q"]] {
        let Some(disk) = Disk::new(make) else { continue };
        let store = disk.store();
        store.create_upper("c").unwrap();
        let root = store.mount("c", &[], &FIRST.container_map()).unwrap();
        assert_eq!(inside(&root, FIRST, "echo x > etc/f; chown 7 etc/f; stat -c %u etc/f"), "7\n", "{make:?}");
    }
    // As inside another engine's container.
    let dir = tempfile::tempdir().unwrap();
    let [lower, upper, work, point] = ["lower", "upper", "work", "mnt"].map(|name| dir.path().join(name));
    for path in [&lower, &upper, &work, &point] {
        std::fs::create_dir(path).unwrap();
    }
    let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    let made =
        std::process::Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(&point).status();
    assert!(made.unwrap().success());
    let disk = Disk(dir);
    let store = disk.store();
    store.create_upper("c").unwrap();
    let error = store.mount("c", &[], &FIRST.container_map()).unwrap_err();
    assert_eq!(error.class, bulkhead_types::ErrorClass::Unsupported, "{error}");
    assert!(error.to_string().contains("ext4"), "{error}");
}
