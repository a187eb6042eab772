//! `run`: streams, exit codes, clean-up.

use bulkhead_tests::{DEBIAN, root_is_here, shared, unique};

#[test]
fn streams_are_kept_apart_and_the_exit_code_is_the_programs() {
    if !root_is_here() {
        return;
    }
    let run = shared().bulkhead(["run", "--rm", DEBIAN, "sh", "-c", "echo out; echo err >&2; exit 7"]);
    run.fails(7);
    assert_eq!(run.stdout, "out\n");
    assert!(run.stderr.contains("err\n"));
}

#[test]
fn exit_codes_are_dockers() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    home.bulkhead(["run", "--rm", DEBIAN, "no-such-program"]).fails(127).says("no-such-program");
    home.bulkhead(["run", "--rm", DEBIAN, "/etc/passwd"]).fails(126).says("/etc/passwd");
    home.bulkhead(["run", "--rm", "--no-such-flag", DEBIAN, "true"]).fails(125).says("--no-such-flag");
    // Process 1 cannot kill itself, so our init stands in front of it.
    home.bulkhead(["run", "--rm", "--init", DEBIAN, "sh", "-c", "kill -9 $$"]).fails(137);
    home.bulkhead(["run", "--rm", "no/such/image:here", "true"]).fails(125);
}

#[test]
fn input_reaches_the_program_and_ends() {
    if !root_is_here() {
        return;
    }
    let run = shared().bulkhead_with(["run", "--rm", "-i", DEBIAN, "wc", "-c"], &vec![b'x'; 300_000]);
    assert_eq!(run.ok(), "300000");
}

#[test]
fn rm_leaves_nothing_behind() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let name = unique("gone");
    home.bulkhead(["run", "--rm", "--name", &name, DEBIAN, "touch", "/file"]).ok();
    home.bulkhead(["inspect", &name]).fails(1);
    assert_eq!(home.bulkhead(["ps", "-a", "-q", "--filter", &format!("name={name}")]).ok(), "");
}
