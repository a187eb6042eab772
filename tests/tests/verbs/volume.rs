//! `volume`: made, filled, shared, pruned.

use bulkhead_tests::{DEBIAN, root_is_here, shared, unique};

#[test]
fn a_volume_outlives_its_containers() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let name = unique("kept");
    assert_eq!(home.bulkhead(["volume", "create", "--label", "for=test", &name]).ok(), name);
    let mount = format!("{name}:/data");
    home.bulkhead(["run", "--rm", "-v", &mount, DEBIAN, "sh", "-c", "echo kept >/data/file"]).ok();
    // Another container has other ids outside, yet sees the same owner.
    let seen =
        home.bulkhead(["run", "--rm", "-v", &mount, DEBIAN, "sh", "-c", "cat /data/file; stat -c %u /data/file"]);
    assert_eq!(seen.ok(), "kept\n0");
    let ls = home.bulkhead(["volume", "ls", "-q", "--filter", "label=for=test"]).ok();
    assert!(ls.lines().any(|line| line == name), "{ls}");
    assert_eq!(
        home.bulkhead(["volume", "inspect", "-f", "{{.Name}} {{.Driver}}", &name]).ok(),
        format!("{name} local")
    );
    let user = unique("user");
    home.bulkhead(["create", "--name", &user, "-v", &mount, DEBIAN]).ok();
    home.bulkhead(["volume", "rm", &name]).fails(1).says("in use");
    home.bulkhead(["rm", &user]).ok();
    home.bulkhead(["volume", "rm", &name]).ok();
    home.bulkhead(["volume", "inspect", &name]).fails(1);
}
