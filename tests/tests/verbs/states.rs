//! From `create` to `rm`: each state and each way between them.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared, unique};

#[test]
fn a_container_goes_through_its_states() {
    if !root_is_here() {
        return;
    }
    let (home, name) = (shared(), unique("states"));
    let state = || home.inspect(&name, "{{.State.Status}}");
    home.bulkhead(["create", "--name", &name, DEBIAN, "sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"])
        .ok();
    assert_eq!(state(), "created");
    assert_eq!(home.bulkhead(["start", &name]).ok(), name);
    assert_eq!(state(), "running");
    home.bulkhead(["pause", &name]).ok();
    assert_eq!(state(), "paused");
    home.bulkhead(["unpause", &name]).ok();
    assert_eq!(state(), "running");
    home.bulkhead(["rm", &name]).fails(1).says("running");
    home.bulkhead(["stop", &name]).ok();
    assert_eq!(home.inspect(&name, "{{.State.Status}} {{.State.ExitCode}}"), "exited 3");
    home.bulkhead(["restart", &name]).ok();
    assert_eq!(state(), "running");
    home.bulkhead(["kill", &name]).ok();
    assert_eq!(home.bulkhead(["wait", &name]).ok(), "137");
    home.bulkhead(["rm", &name]).ok();
    home.bulkhead(["start", &name]).fails(1).says("No such container");
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &[DEBIAN, "sh", "-c", "echo x >>/count; wc -l </count; exec sleep 1000"]);
    home.bulkhead(["restart", "-t", "0", &container.name]).ok();
    super::wait_until("the second line", || home.bulkhead(["logs", &container.name]).stdout == "1\n2\n");
}

#[test]
fn names_are_unique_and_can_be_changed() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let (old, new) = (unique("old"), unique("new"));
    home.bulkhead(["create", "--name", &old, DEBIAN]).ok();
    home.bulkhead(["create", "--name", &old, DEBIAN]).fails(1).says("already in use");
    home.bulkhead(["rename", &old, &new]).ok();
    home.bulkhead(["inspect", &old]).fails(1);
    assert_eq!(home.inspect(&new, "{{.Name}}"), format!("/{new}"));
    home.bulkhead(["create", "--name", "no/name", DEBIAN]).fails(1).says("Invalid container name");
    let id = home.inspect(&new, "{{.Id}}");
    assert_eq!(home.bulkhead(["rm", &id[..12]]).ok(), &id[..12]);
}

#[test]
fn signals_reach_the_program() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let script = "trap 'echo usr1' USR1; echo ready; while :; do sleep 0.1; done";
    let container = Container::start(home, &[DEBIAN, "sh", "-c", script]);
    let logs = || home.bulkhead(["logs", &container.name]).stdout;
    super::wait_until("the trap", || logs() == "ready\n");
    home.bulkhead(["kill", "-s", "USR1", &container.name]).ok();
    super::wait_until("the signal", || logs() == "ready\nusr1\n");
    home.bulkhead(["kill", "-s", "NONSENSE", &container.name]).fails(1);
    home.bulkhead(["stop", "-t", "1", &container.name]).ok();
    assert_eq!(home.inspect(&container.name, "{{.State.ExitCode}}"), "137");
}
