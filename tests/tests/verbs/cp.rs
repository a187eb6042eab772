//! `cp`: Docker's rules for the target, both directions, running and stopped.

use std::fs;

use bulkhead_tests::{Container, DEBIAN, Home, root_is_here, shared};

fn there_and_back(home: &Home, box_: &Container<'_>) {
    let dir = tempfile_dir();
    let at = |name: &str| dir.path().join(name).display().to_string();
    fs::create_dir_all(dir.path().join("src/sub")).unwrap();
    fs::write(dir.path().join("src/a"), "content").unwrap();
    std::os::unix::fs::symlink("a", dir.path().join("src/link")).unwrap();
    let inside = |path: &str| format!("{}:{path}", box_.name);
    let cp = |from: &str, to: &str| home.bulkhead(["cp", from, to]);
    // A directory into an existing one, and its contents into a new one.
    cp(&at("src"), &inside("/opt")).ok();
    cp(&format!("{}/.", at("src")), &inside("/new")).ok();
    cp(&inside("/opt/src"), &at("back")).ok();
    assert_eq!(fs::read_to_string(at("back/a")).unwrap(), "content");
    assert!(fs::symlink_metadata(at("back/link")).unwrap().is_symlink());
    cp(&inside("/new/."), &at("back")).ok();
    cp(&inside("/new"), &at("back")).ok();
    assert_eq!(fs::read_to_string(at("back/new/a")).unwrap(), "content");
    // A file under another name, over an existing one, into a directory.
    cp(&inside("/opt/src/a"), &at("renamed")).ok();
    cp(&inside("/opt/src/a"), &at("renamed")).ok();
    cp(&inside("/opt/src/a"), &at("back/sub/")).ok();
    assert_eq!(fs::read_to_string(at("back/sub/a")).unwrap(), "content");
    home.bulkhead(["cp", "-L", &inside("/opt/src/link"), &at("followed")]).ok();
    assert!(fs::symlink_metadata(at("followed")).unwrap().is_file());
    // What must not be.
    cp(&inside("/no/such"), &at("x")).fails(1).says("Could not find the file /no/such");
    cp(&at("no-such"), &inside("/tmp")).fails(1);
    cp(&inside("/opt/src"), &at("renamed")).fails(1).says("cannot copy directory");
    cp(&at("src/a"), &inside("/no/such/x")).fails(1);
    cp(&inside("/a"), &inside("/b")).fails(1).says("between containers");
}

fn tempfile_dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_running_container() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let box_ = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    there_and_back(home, &box_);
    // A tar stream each way.
    let tar = home.command(["cp", &format!("{}:/opt/src", box_.name), "-"]).output().unwrap();
    assert!(tar.status.success() && tar.stdout.len() > 1024);
    let target = format!("{}:/mnt", box_.name);
    home.bulkhead_with(["cp", "-", &target], &tar.stdout).ok();
    assert_eq!(home.bulkhead(["exec", &box_.name, "cat", "/mnt/src/a"]).ok(), "content");
    // A file that is a mount of its own is written, not replaced.
    let dir = tempfile_dir();
    fs::write(dir.path().join("hosts"), "1.2.3.4 copied\n").unwrap();
    let hosts = format!("{}:/etc/hosts", box_.name);
    home.bulkhead(["cp", &dir.path().join("hosts").display().to_string(), &hosts]).ok();
    assert_eq!(home.bulkhead(["exec", &box_.name, "cat", "/etc/hosts"]).ok(), "1.2.3.4 copied");
}

#[test]
fn a_stopped_container() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let box_ = Container::start(home, &[DEBIAN, "true"]);
    home.bulkhead(["wait", &box_.name]).ok();
    there_and_back(home, &box_);
}

#[test]
fn what_comes_out_is_harmless_on_the_host() {
    if !root_is_here() {
        return;
    }
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let home = shared();
    let box_ = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    let make = "mkdir /d; cp /bin/true /d/suid; chown 1000:1000 /d/suid; chmod 6755 /d/suid; ln -s /etc /d/out";
    home.bulkhead(["exec", &box_.name, "sh", "-c", make]).ok();
    let dir = tempfile_dir();
    let target = dir.path().join("d").display().to_string();
    home.bulkhead(["cp", &format!("{}:/d", box_.name), &target]).ok();
    let meta = fs::metadata(dir.path().join("d/suid")).unwrap();
    assert_eq!((meta.permissions().mode() & 0o7777, meta.uid()), (0o755, 0));
    home.bulkhead(["cp", "-a", &format!("{}:/d/suid", box_.name), &format!("{target}/kept")]).ok();
    let meta = fs::metadata(dir.path().join("d/kept")).unwrap();
    assert_eq!((meta.permissions().mode() & 0o7777, meta.uid()), (0o755, 1000));
}
