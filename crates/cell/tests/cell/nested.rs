//! The same as root of a user namespace, which is what rootless is: no device nodes, no cgroup, no right over the host.

use std::os::fd::AsFd as _;

use bulkhead_sys::namespace::Kinds;
use bulkhead_sys::process::{self, Ended};
use bulkhead_sys::spawn;

use crate::{cases, further, house};

pub const ALL: &[(&str, fn())] = &[("in_a_user_namespace", in_a_user_namespace)];

/// Cases that count on the whole range or on a cgroup.
const ONLY_FOR_ROOT: &[&str] =
    &["identity_and_names", "in_a_cgroup", "failures_leave_nothing", "exec_in_the_cgroup", "how_long_it_takes"];

/// The word that [`in_a_user_namespace`] starts this program with.
pub const INSIDE: &str = "--as-root-of-a-user-namespace";

/// Runs the cases there; number of failures.
pub fn run() -> i32 {
    let mut failed = 0;
    for (name, case) in cases::ALL.iter().chain(further::ALL) {
        if ONLY_FOR_ROOT.contains(name) {
            continue;
        }
        let result = std::panic::catch_unwind(case);
        println!("  rootless {name} ... {}", if result.is_ok() { "ok" } else { "FAILED" });
        failed += i32::from(result.is_err());
    }
    failed
}

fn in_a_user_namespace() {
    let (mut told, tell) = std::io::pipe().unwrap();
    let null = house::null();
    let child = || {
        let mut byte = [0u8; 1];
        std::io::Read::read_exact(&mut told, &mut byte).unwrap();
        bulkhead_sys::privilege::become_user(0, 0, &[]).unwrap();
        // Only an exec makes the memory, and with it the files below /proc/self, the namespace's own.
        let args = spawn::c_strings(&["cell", INSIDE]).unwrap();
        println!("{}", process::execute(c"/proc/self/exe", &args, &[]));
        125
    };
    let (pidfd, pid) = spawn::isolated(Kinds::USER.with(Kinds::MOUNT), None, null.as_fd(), child).unwrap();
    // As newuidmap does for a user with 65,536 subordinate ids.
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{pid}/{map}"), "0 1879048192 1\n1 1879100000 65536\n").unwrap();
    }
    std::io::Write::write_all(&mut { tell }, b"x").unwrap();
    assert_eq!(process::wait(pidfd.as_fd()).unwrap(), Ended::Code(0));
}
