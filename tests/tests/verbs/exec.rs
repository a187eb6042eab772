//! `exec`: streams, exit codes, where and as whom.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared};

#[test]
fn streams_and_exit_codes() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let box_ = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    let run = home.bulkhead(["exec", &box_.name, "sh", "-c", "echo out; echo err >&2; exit 3"]);
    run.fails(3);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("out\n", "err\n"));
    home.bulkhead(["exec", &box_.name, "no-such-program"]).fails(127).says("no-such-program");
    home.bulkhead(["exec", &box_.name, "/etc/passwd"]).fails(126);
    home.bulkhead(["exec", "no-such-container", "true"]).fails(1).says("No such container");
    let input = vec![b'y'; 3_000_000];
    assert_eq!(home.bulkhead_with(["exec", "-i", &box_.name, "wc", "-c"], &input).ok(), "3000000");
    assert_eq!(home.bulkhead_with(["exec", "-i", &box_.name, "head", "-c", "1"], &input).ok(), "y");
    // Without -i nothing reaches the program.
    assert_eq!(home.bulkhead_with(["exec", &box_.name, "wc", "-c"], b"unheard").ok(), "0");
    let long = home.bulkhead(["exec", &box_.name, "head", "-c", "3000000", "/dev/zero"]);
    assert_eq!(long.fails(0).stdout.len(), 3_000_000);
}

#[test]
fn environment_user_and_directory() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let box_ = Container::start(home, &["-e", "FROM_RUN=1", DEBIAN, "sleep", "1000"]);
    let say = "echo $FROM_RUN $A; pwd; id -u; id -g";
    let run = home.bulkhead(["exec", "-e", "A=2", "-w", "/tmp", "-u", "1000:1001", &box_.name, "sh", "-c", say]);
    assert_eq!(run.ok(), "1 2\n/tmp\n1000\n1001");
    home.bulkhead(["exec", "-d", &box_.name, "touch", "/made"]).ok();
    home.bulkhead(["exec", &box_.name, "sh", "-c", "while ! test -e /made; do sleep 0.05; done"]).ok();
}
