//! `diff`, `export`, `import`, `commit`: a container's files as data.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared, unique};

#[test]
fn changes_become_an_image() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let box_ = Container::start(home, &[DEBIAN, "sh", "-c", "echo new >/made; rm /etc/issue; sleep 1000"]);
    home.bulkhead(["exec", &box_.name, "sh", "-c", "while test -e /etc/issue; do sleep 0.05; done"]).ok();
    let diff = home.bulkhead(["diff", &box_.name]).ok();
    for line in ["A /made", "D /etc/issue", "C /etc"] {
        assert!(diff.lines().any(|found| found == line), "{line} is not in\n{diff}");
    }
    let image = format!("{}:one", unique("committed"));
    let id = home.bulkhead(["commit", "-m", "why", "-c", "CMD [\"cat\",\"/made\"]", &box_.name, &image]).ok();
    assert!(id.starts_with("sha256:"));
    assert_eq!(home.bulkhead(["run", "--rm", &image]).ok(), "new");
    assert!(home.bulkhead(["history", &image]).ok().contains("why"));
    home.bulkhead(["rmi", &image]).ok();
}

#[test]
fn an_exported_tree_is_an_image_again() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tree.tar").display().to_string();
    let box_ = Container::start(home, &["-v", "/in-volume", DEBIAN, "sh", "-c", "echo x >/in-volume/f; sleep 1000"]);
    home.bulkhead(["export", "-o", &file, &box_.name]).ok();
    let image = unique("imported");
    home.bulkhead(["import", &file, &image]).ok();
    // What is in a volume is not the container's.
    assert_eq!(home.bulkhead(["run", "--rm", &image, "ls", "/in-volume"]).ok(), "");
    home.bulkhead(["rmi", &image]).ok();
    home.bulkhead(["export", "-o", "/dev/full", &box_.name]).fails(1).says("No space left");
}
