//! `logs`: both streams, the end of them, times, following.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared};

#[test]
fn what_was_said_is_kept() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let say = "for i in 1 2 3; do echo out$i; echo err$i >&2; done; printf unfinished";
    let box_ = Container::start(home, &[DEBIAN, "sh", "-c", say]);
    let followed = home.bulkhead(["logs", "-f", &box_.name]);
    assert_eq!(followed.fails(0).stdout, "out1\nout2\nout3\nunfinished");
    assert_eq!(followed.stderr, "err1\nerr2\nerr3\n");
    assert_eq!(home.bulkhead(["logs", "-n", "1", &box_.name]).stdout, "unfinished");
    let timed = home.bulkhead(["logs", "-t", &box_.name]).ok();
    assert!(timed.lines().all(|line| line.starts_with("20") && line.contains("Z ")), "{timed}");
    assert_eq!(home.bulkhead(["logs", "--until", "1h", &box_.name]).ok(), "");
    home.bulkhead(["logs", "--tail", "some", &box_.name]).fails(1).says("--tail");
}
