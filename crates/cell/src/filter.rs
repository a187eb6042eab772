//! The plan's filter, carried over to the kernel's numbers and compiled. Done by the parent, before there is a child.

use bulkhead_plan::seccomp::{self, ArgTest, Verdict};
use bulkhead_sys::seccomp::{self as kernel, Compare, Program};

/// Compiles a plan's filter.
///
/// # Errors
/// If the plan names a call that this build has no number for, or the compiler refuses; both are bugs.
pub fn compile(filter: &seccomp::Filter) -> Result<Program, String> {
    kernel::compile(&numbered(filter)?).map_err(|error| error.to_string())
}

fn numbered(filter: &seccomp::Filter) -> Result<kernel::Filter, String> {
    let mut rules = Vec::with_capacity(filter.rules.len() + kernel::SYSCALLS.len());
    for rule in &filter.rules {
        let number = kernel::number_of(rule.call).ok_or_else(|| format!("no number for system call {}", rule.call))?;
        let tests = rule.tests.iter().map(arg_test).collect();
        rules.push(kernel::Rule { number, tests, verdict: verdict(rule.verdict) });
    }
    // Whatever this build has a name for and the plan does not mention is known and refused.
    let known = verdict(filter.known);
    let mut named: Vec<u32> = rules.iter().map(|rule| rule.number).collect();
    named.sort_unstable();
    let rest = kernel::SYSCALLS.iter().map(|(_, number)| *number);
    let rest = rest.filter(|number| named.binary_search(number).is_err());
    rules.extend(rest.map(|number| kernel::Rule { number, tests: Vec::new(), verdict: known }));
    Ok(kernel::Filter { foreign: verdict(filter.foreign), unlisted: verdict(filter.unknown), unmatched: known, rules })
}

fn arg_test(test: &ArgTest) -> kernel::ArgTest {
    kernel::ArgTest { index: test.index, compare: Compare::MaskedEqual { mask: test.mask }, value: test.value }
}

fn verdict(verdict: Verdict) -> kernel::Verdict {
    match verdict {
        Verdict::Allow => kernel::Verdict::Allow,
        Verdict::Errno(errno) => kernel::Verdict::Errno(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_plan::{Capability, Level};

    const VALUES: &[u64] = &[
        0,
        1,
        2,
        3,
        5,
        6,
        8,
        10,
        11,
        16,
        17,
        26,
        31,
        41,
        60,
        64,
        0x80,
        0x5412,
        0x2_0008,
        0x7e02_0000,
        0x1000_0000,
        0xffff_ffff,
        0x1_0000_0006,
        u64::MAX,
    ];

    /// Numbering changes nothing: every call of the table, by name and by number, over argument vectors.
    #[test]
    fn every_filter_compiles_and_means_the_same() {
        for level in [Level::Standard, Level::Hardened] {
            for capabilities in [&[][..], &[Capability::SysAdmin, Capability::NetRaw], Capability::ALL] {
                let by_name = seccomp::filter(level, capabilities);
                let by_number = numbered(&by_name).unwrap();
                let program = kernel::compile(&by_number).unwrap();
                println!("{level:?} with {} capabilities: {} instructions", capabilities.len(), program.len());
                assert!(program.len() < 700);
                for (name, number) in kernel::SYSCALLS {
                    for (at, value) in VALUES.iter().enumerate() {
                        let next = VALUES[(at + number.count_ones() as usize) % VALUES.len()];
                        for args in [[*value; 6], [*value, next, next, *value, 0, 0], [next, *value, 0, next, 0, 0]] {
                            let expected = verdict(by_name.verdict(name, args));
                            assert_eq!(by_number.verdict(*number, &args), expected, "{name} {args:x?}");
                        }
                    }
                }
                let young = by_number.verdict(kernel::NEWEST + 1, &[0; 6]);
                assert_eq!(young, kernel::Verdict::Errno(38), "programs fall back from calls younger than this build");
            }
        }
    }

    /// A filter belongs to a thread, so this test needs no process of its own.
    #[test]
    fn an_ordinary_thread_lives_under_the_filter() {
        let program = compile(&seccomp::filter(Level::Standard, &[])).unwrap();
        std::thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            program.load().unwrap();
            assert!(std::fs::read_to_string("/proc/thread-self/status").unwrap().contains("Seccomp:\t2"));
            assert!(std::net::TcpListener::bind("127.0.0.1:0").is_ok());
            assert!(std::process::Command::new("/bin/true").status().unwrap().success());
            assert_eq!(std::thread::spawn(|| 1).join().unwrap(), 1);
            use rustix::net::{AddressFamily, SocketType, socket};
            let alg = socket(AddressFamily::from_raw(38), SocketType::SEQPACKET, None);
            assert_eq!(alg.unwrap_err(), rustix::io::Errno::AFNOSUPPORT);
            // Harmless even if it were let through.
            assert_eq!(rustix::process::chroot("/"), Err(rustix::io::Errno::PERM));
        })
        .join()
        .unwrap();
    }
}
