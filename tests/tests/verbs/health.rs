//! Health checks and restart policies.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared};

#[test]
fn health_follows_the_check() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let check = ["--health-cmd", "test -e /well", "--health-interval", "200ms", "--health-retries", "2"];
    let words = [check.as_slice(), &[DEBIAN, "sh", "-c", "touch /well; exec sleep 1000"]].concat();
    let container = Container::start(home, &words);
    let health = || home.inspect(&container.name, "{{.State.Health.Status}}");
    super::wait_until("healthy", || health() == "healthy");
    home.bulkhead(["exec", &container.name, "rm", "/well"]).ok();
    super::wait_until("unhealthy", || health() == "unhealthy");
    assert!(home.bulkhead(["ps", "--filter", "health=unhealthy"]).ok().contains("(unhealthy)"));
}

#[test]
fn on_failure_tries_again_as_often_as_was_said() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &["--restart", "on-failure:2", DEBIAN, "sh", "-c", "echo try; exit 1"]);
    super::wait_until("the end of the tries", || {
        home.inspect(&container.name, "{{.RestartCount}} {{.State.Status}}") == "2 exited"
    });
    assert_eq!(home.bulkhead(["logs", &container.name]).ok(), "try\ntry\ntry");
}

#[test]
fn a_stop_is_respected() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &["--restart", "always", DEBIAN, "sleep", "1000"]);
    let pid = home.inspect(&container.name, "{{.State.Pid}}");
    home.bulkhead(["exec", &container.name, "true"]).ok();
    home.bulkhead(["stop", "-t", "0", &container.name]).ok();
    assert_eq!(home.inspect(&container.name, "{{.State.Status}}"), "exited");
    home.bulkhead(["start", &container.name]).ok();
    assert_ne!(home.inspect(&container.name, "{{.State.Pid}}"), pid);
}
