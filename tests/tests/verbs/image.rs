//! `images`, `tag`, `save`, `load`, `rmi`, `history`, `image inspect`.

use bulkhead_tests::{DEBIAN, root_is_here, shared, unique};

#[test]
fn names_come_and_go() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let name = format!("{}:tag", unique("named"));
    home.bulkhead(["tag", DEBIAN, &name]).ok();
    let id = |name: &str| home.bulkhead(["image", "inspect", "-f", "{{.Id}}", name]).ok();
    assert_eq!(id(&name), id(DEBIAN));
    let listed = home.bulkhead(["images", "--format", "{{.Repository}}:{{.Tag}}", &name]).ok();
    assert_eq!(listed, name);
    let table = home.bulkhead(["image", "ls"]).ok();
    assert!(table.starts_with("REPOSITORY"), "{table}");
    let removed = home.bulkhead(["rmi", &name]).ok();
    assert_eq!(removed, format!("Untagged: {name}"));
    home.bulkhead(["rmi", &name]).fails(1).says("No such image");
    home.bulkhead(["tag", DEBIAN, "Not Allowed"]).fails(1).says("invalid reference format");
}

#[test]
fn an_archive_brings_it_back() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let name = format!("{}:tag", unique("saved"));
    home.bulkhead(["tag", DEBIAN, &name]).ok();
    for format in ["docker-archive", "oci-archive"] {
        let archive = home.command(["save", "--format", format, &name]).output().unwrap();
        assert!(archive.status.success());
        home.bulkhead(["rmi", &name]).ok();
        let loaded = home.bulkhead_with(["load", "-q"], &archive.stdout).ok();
        assert_eq!(loaded, format!("Loaded image: {name}"), "{format}");
        home.bulkhead(["run", "--rm", &name, "true"]).ok();
    }
    home.bulkhead(["rmi", &name]).ok();
    home.bulkhead_with(["load"], b"no archive at all").fails(1);
    home.bulkhead(["save", "-o", "/dev/full", DEBIAN]).fails(1).says("No space left");
}
