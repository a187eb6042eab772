//! `diff`, `commit`, `export`.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared, unique};

#[test]
fn diff_names_each_change() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let script = "echo x >/added; echo y >>/etc/hostname.new; rm /etc/issue; exec sleep 1000";
    let container = Container::start(home, &[DEBIAN, "sh", "-c", script]);
    super::wait_until("the changes", || home.bulkhead(["diff", &container.name]).stdout.contains("D /etc/issue"));
    let diff = home.bulkhead(["diff", &container.name]).ok();
    for line in ["A /added", "A /etc/hostname.new", "C /etc", "D /etc/issue"] {
        assert!(diff.lines().any(|one| one == line), "no {line:?} in\n{diff}");
    }
}

#[test]
fn a_commit_is_an_image_with_the_changes() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &[DEBIAN, "sh", "-c", "echo kept >/kept; rm /etc/issue"]);
    home.bulkhead(["wait", &container.name]).ok();
    let name = format!("{}:1", unique("committed"));
    home.bulkhead(["commit", "-m", "why", "-a", "who", "-c", "CMD [\"cat\", \"/kept\"]", &container.name, &name]).ok();
    assert_eq!(home.bulkhead(["run", "--rm", &name]).ok(), "kept");
    home.bulkhead(["run", "--rm", &name, "test", "-e", "/etc/issue"]).fails(1);
    assert_eq!(home.bulkhead(["image", "inspect", "-f", "{{.Author}} {{.Comment}}", &name]).ok(), "who why");
    home.bulkhead(["rmi", &name]).ok();
}

#[test]
fn an_export_is_the_whole_tree() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &[DEBIAN, "sh", "-c", "echo mine >/mine; chown 33:44 /mine"]);
    home.bulkhead(["wait", &container.name]).ok();
    let folder = tempfile::tempdir().expect("a folder");
    let tar = folder.path().join("tree.tar").display().to_string();
    home.bulkhead(["export", "-o", &tar, &container.name]).ok();
    let list =
        std::process::Command::new("tar").args(["--numeric-owner", "-tvf", &tar]).output().expect("tar is there");
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.lines().any(|line| line.contains(" 33/44 ") && line.ends_with(" mine")), "{list}");
    assert!(list.lines().any(|line| line.ends_with(" etc/passwd")));
}
