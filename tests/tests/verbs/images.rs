//! Images: names, listing, import, history, removal.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared, unique};

#[test]
fn a_name_more_is_the_same_image() {
    if !root_is_here() {
        return;
    }
    let (home, name) = (shared(), format!("{}:1", unique("named")));
    home.bulkhead(["tag", DEBIAN, &name]).ok();
    let id = |name: &str| home.bulkhead(["image", "inspect", "-f", "{{.Id}}", name]).ok();
    assert_eq!(id(&name), id(DEBIAN));
    let listed = home.bulkhead(["images", "--format", "{{.Repository}}:{{.Tag}}", &name]).ok();
    assert_eq!(listed, name);
    assert!(home.bulkhead(["rmi", &name]).ok().starts_with("Untagged: "));
    home.bulkhead(["image", "inspect", &name]).fails(1).says("No such image");
    home.bulkhead(["image", "inspect", DEBIAN]).ok();
}

#[test]
fn an_image_that_a_container_stands_on_stays() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    let name = format!("{}:1", unique("held"));
    home.bulkhead(["commit", &container.name, &name]).ok();
    let held = Container::start(home, &[&name, "sleep", "1000"]);
    home.bulkhead(["rmi", &name]).fails(1).says("conflict");
    drop(held);
    home.bulkhead(["rmi", &name]).ok();
}

#[test]
fn a_tar_becomes_an_image_with_a_history() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let name = format!("{}:1", unique("imported"));
    let container = Container::start(home, &[DEBIAN, "true"]);
    home.bulkhead(["wait", &container.name]).ok();
    let tar = home.command(["export", &container.name]).output().expect("the program starts").stdout;
    let words = ["import", "-m", "brought in", "-c", "ENV A=b", "-c", "CMD [\"sh\", \"-c\", \"echo $A\"]", "-", &name];
    home.bulkhead_with(words, &tar).ok();
    assert_eq!(home.bulkhead(["run", "--rm", &name]).ok(), "b");
    assert!(home.bulkhead(["history", "--no-trunc", &name]).ok().contains("brought in"));
    home.bulkhead(["rmi", &name]).ok();
}
