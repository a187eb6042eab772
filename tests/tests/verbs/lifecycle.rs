//! `stop`, `restart`, `kill`, `pause`, `unpause`, `wait`, `rm`, `update`, `top`.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared};

/// A process that obeys `SIGTERM` and says so.
const OBEDIENT: &[&str] = &[DEBIAN, "sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done"];

#[test]
fn stopping_and_starting_again() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let box_ = Container::start(home, OBEDIENT);
    home.bulkhead(["exec", &box_.name, "true"]).ok();
    assert_eq!(home.bulkhead(["stop", &box_.name]).ok(), box_.name);
    assert_eq!(home.bulkhead(["wait", &box_.name]).ok(), "9");
    home.bulkhead(["stop", &box_.name]).ok();
    home.bulkhead(["restart", "-t", "5", &box_.name]).ok();
    assert_eq!(home.inspect(&box_.name, "{{.State.Status}}"), "running");
    home.bulkhead(["rm", &box_.name]).fails(1).says("container is running");
    home.bulkhead(["kill", &box_.name]).ok();
    assert_eq!(home.bulkhead(["wait", &box_.name]).ok(), "137");
    home.bulkhead(["kill", &box_.name]).fails(1).says("is not running");
    home.bulkhead(["rm", &box_.name]).ok();
    home.bulkhead(["rm", "-f", &box_.name]).fails(0);
    home.bulkhead(["rm", &box_.name]).fails(1).says("No such container");
}

#[test]
fn pausing_and_looking() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let box_ = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    home.bulkhead(["pause", &box_.name]).ok();
    assert_eq!(home.inspect(&box_.name, "{{.State.Status}} {{.State.Paused}}"), "paused true");
    home.bulkhead(["attach", &box_.name]).fails(1).says("paused");
    home.bulkhead(["unpause", &box_.name]).ok();
    let top = home.bulkhead(["top", &box_.name]).ok();
    assert!(top.starts_with("UID") && top.contains("sleep 1000"), "{top}");
    home.bulkhead(["update", "-m", "100m", "--pids-limit", "50", &box_.name]).ok();
    assert_eq!(home.inspect(&box_.name, "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}"), "104857600 50");
}
