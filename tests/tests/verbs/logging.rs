//! `logs`: both streams, tail, timestamps, follow.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared};

#[test]
fn both_streams_come_back_apart_and_in_order() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &[DEBIAN, "sh", "-c", "seq 100; echo bad >&2; printf unfinished"]);
    home.bulkhead(["wait", &container.name]).ok();
    let logs = home.bulkhead(["logs", &container.name]);
    let expected: String = (1..=100).map(|number| format!("{number}\n")).collect();
    assert_eq!(logs.fails(0).stdout, format!("{expected}unfinished"));
    assert_eq!(logs.stderr, "bad\n");
    assert_eq!(home.bulkhead(["logs", "--tail", "3", &container.name]).ok(), "100\nunfinished");
    assert_eq!(home.bulkhead(["logs", "-n", "0", &container.name]).ok(), "");
    let stamped = home.bulkhead(["logs", "-t", "-n", "1", &container.name]).ok();
    assert!(stamped.starts_with("20") && stamped.ends_with("Z unfinished"), "{stamped}");
    assert_eq!(home.bulkhead(["logs", "--since", "1h", "-n", "1", &container.name]).ok(), "unfinished");
    assert_eq!(home.bulkhead(["logs", "--until", "1h", &container.name]).ok(), "");
}

#[test]
fn follow_ends_with_the_container() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let script = "for i in 1 2 3; do echo $i; sleep 0.2; done";
    let container = Container::start(home, &[DEBIAN, "sh", "-c", script]);
    assert_eq!(home.bulkhead(["logs", "-f", &container.name]).ok(), "1\n2\n3");
}

#[test]
fn a_terminal_has_one_stream() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &["-t", DEBIAN, "sh", "-c", "echo out; echo err >&2; test -t 1"]);
    assert_eq!(home.bulkhead(["wait", &container.name]).ok(), "0");
    assert_eq!(home.bulkhead(["logs", &container.name]).ok(), "out\r\nerr");
}
