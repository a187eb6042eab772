//! `cp`: both directions, running and stopped, links that lead out.

use std::path::Path;

use bulkhead_tests::{Container, DEBIAN, Home, root_is_here, shared};

fn round(home: &Home, name: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir_all(folder.path().join("tree/sub")).expect("a folder");
    std::fs::write(folder.path().join("tree/sub/file"), "content").expect("a file");
    std::os::unix::fs::symlink("sub/file", folder.path().join("tree/link")).expect("a link");
    home.bulkhead(["cp", &path("tree"), &format!("{name}:/tmp")]).ok();
    home.bulkhead(["cp", &path("tree/sub/file"), &format!("{name}:/tmp/renamed")]).ok();
    home.bulkhead(["cp", &format!("{name}:/tmp/tree"), &path("back")]).ok();
    assert_eq!(std::fs::read_to_string(folder.path().join("back/sub/file")).expect("the file"), "content");
    assert_eq!(std::fs::read_link(folder.path().join("back/link")).expect("the link"), Path::new("sub/file"));
    home.bulkhead(["cp", &format!("{name}:/tmp/renamed"), &path("one")]).ok();
    assert_eq!(std::fs::read_to_string(path("one")).expect("the file"), "content");
    home.bulkhead(["cp", &format!("{name}:/no/such/file"), &path("none")]).fails(1);
    home.bulkhead(["cp", &path("one"), &format!("{name}:/no/such/folder/")]).fails(1);
}

#[test]
fn files_go_in_and_out_of_a_running_container() {
    if !root_is_here() {
        return;
    }
    let container = Container::start(shared(), &[DEBIAN, "sleep", "1000"]);
    round(shared(), &container.name);
    let owner = shared().bulkhead(["exec", &container.name, "stat", "-c", "%u:%g", "/tmp/renamed"]).ok();
    assert_eq!(owner, "0:0");
}

#[test]
fn files_go_in_and_out_of_a_stopped_container() {
    if !root_is_here() {
        return;
    }
    let container = Container::start(shared(), &[DEBIAN, "true"]);
    shared().bulkhead(["wait", &container.name]).ok();
    round(shared(), &container.name);
}

#[test]
fn a_link_in_the_container_leads_nowhere_outside() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "of the host").expect("a file");
    let script = format!("ln -s {} /leak; ln -s / /all; sleep 1000", secret.display());
    let container = Container::start(home, &[DEBIAN, "sh", "-c", &script]);
    super::wait_until("the links", || home.bulkhead(["exec", &container.name, "test", "-L", "/all"]).code == 0);
    let target = folder.path().join("out").display().to_string();
    home.bulkhead(["cp", "-L", &format!("{}:/leak", container.name), &target]).fails(1);
    home.bulkhead(["cp", &format!("{}:/all{}", container.name, secret.display()), &target]).fails(1);
    assert!(!Path::new(&target).exists());
}

#[test]
fn a_dash_is_a_tar_stream() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    let mut command = home.command(["cp", &format!("{}:/etc/passwd", container.name), "-"]);
    let tar = command.output().expect("the program starts");
    assert!(tar.status.success());
    home.bulkhead_with(["cp", "-", &format!("{}:/tmp", container.name)], &tar.stdout).ok();
    home.bulkhead(["exec", &container.name, "test", "-s", "/tmp/passwd"]).ok();
}
