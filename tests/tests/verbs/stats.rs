//! `stats` and `system df`.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared};

#[test]
fn figures_are_there() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let box_ = Container::start(home, &["-m", "64m", DEBIAN, "sleep", "1000"]);
    let line =
        home.bulkhead(["stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", &box_.name]).ok();
    assert!(line.starts_with(&box_.name) && line.contains("/ 64MiB") && line.ends_with(" 1"), "{line}");
    home.bulkhead(["stats", "--no-stream", "no-such-container"]).fails(1).says("No such container");
    let kinds = home.bulkhead(["system", "df", "--format", "{{.Type}}"]).ok();
    assert_eq!(kinds.lines().take(3).collect::<Vec<_>>(), ["Images", "Containers", "Local Volumes"]);
}
