//! `exec`: identity, environment, streams, exit codes.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared, unique};

#[test]
fn it_runs_beside_the_program_as_whom_and_where_one_says() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &["-e", "FROM_RUN=1", "-w", "/usr", DEBIAN, "sleep", "1000"]);
    let name = container.name.as_str();
    assert_eq!(home.bulkhead(["exec", name, "sh", "-c", "echo $FROM_RUN $PWD $(id -u)"]).ok(), "1 /usr 0");
    let words =
        ["exec", "-e", "A=b", "-w", "/tmp", "-u", "www-data", name, "sh", "-c", "echo $A $PWD $(id -u):$(id -g)"];
    assert_eq!(home.bulkhead(words).ok(), "b /tmp 33:33");
    assert_eq!(home.bulkhead(["exec", "-u", "5:7", name, "sh", "-c", "id -u; id -g"]).ok(), "5\n7");
    let seen = home.bulkhead(["exec", name, "sh", "-c", "tr '\\0' ' ' </proc/1/cmdline"]).ok();
    assert_eq!(seen.trim(), "sleep 1000");
}

#[test]
fn streams_and_exit_codes_are_the_programs() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    let name = container.name.as_str();
    let run = home.bulkhead(["exec", name, "sh", "-c", "echo out; echo err >&2; exit 9"]);
    run.fails(9).says("err");
    assert_eq!(run.stdout, "out\n");
    assert_eq!(home.bulkhead_with(["exec", "-i", name, "wc", "-c"], &[b'x'; 200_000]).ok(), "200000");
    home.bulkhead(["exec", name, "no-such-program"]).fails(127);
    home.bulkhead(["exec", name, "/etc/passwd"]).fails(126);
    assert_eq!(home.bulkhead(["exec", "-d", name, "sh", "-c", "echo x >/detached"]).ok(), "");
    super::wait_until("the detached one to write", || {
        home.bulkhead(["exec", name, "cat", "/detached"]).stdout == "x\n"
    });
}

#[test]
fn it_needs_a_container_that_runs() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    home.bulkhead(["exec", &unique("nobody"), "true"]).fails(1).says("No such container");
    let container = Container::start(home, &[DEBIAN, "true"]);
    home.bulkhead(["wait", &container.name]).ok();
    home.bulkhead(["exec", &container.name, "true"]).fails(1).says("is not running");
}
