use super::*;

const ALLOW: Verdict = Verdict::Allow;

fn refused(filter: &Filter, call: &str, args: [u64; 6]) -> bool {
    filter.verdict(call, args) != ALLOW
}

#[test]
fn tables_have_no_duplicates_and_no_dead_rules() {
    let mut plain = calls::PLAIN.to_vec();
    plain.dedup();
    assert_eq!(plain.len(), calls::PLAIN.len());
    assert!(calls::PLAIN.is_sorted());
    for rule in calls::TESTED.iter().chain(calls::ABSENT) {
        assert!(!calls::PLAIN.contains(&rule.call), "{} is allowed and looked at", rule.call);
    }
    for rule in calls::ABSENT.iter().chain(calls::HARDENED).chain(calls::OPENED.iter().flat_map(|o| o.rules)) {
        assert!(!rule.reason.is_empty(), "{} needs a reason", rule.call);
    }
    for test in calls::TESTED.iter().flat_map(|rule| rule.tests) {
        assert!(test.mask != 0 && test.value & !test.mask == 0 && test.index < 6);
    }
}

#[test]
fn the_measured_walls_stand() {
    let filter = filter(Level::Standard, &[]);
    for call in [
        "unshare",
        "setns",
        "mount",
        "umount2",
        "fsopen",
        "open_tree",
        "move_mount",
        "pivot_root",
        "chroot",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "keyctl",
        "add_key",
        "request_key",
        "ptrace",
        "process_vm_readv",
        "pidfd_getfd",
        "kexec_load",
        "init_module",
        "finit_module",
        "open_by_handle_at",
        "name_to_handle_at",
        "fanotify_init",
        "adjtimex",
        "clock_settime",
        "settimeofday",
        "swapon",
        "reboot",
        "acct",
        "iopl",
        "ioperm",
        "syslog",
        "quotactl",
        "kcmp",
        "vhangup",
    ] {
        assert_eq!(filter.verdict(call, [0; 6]), Verdict::Errno(errno::EPERM), "{call}");
    }
    for call in ["clone3", "statmount", "futex_wait", "modify_ldt", "mq_notify"] {
        assert_eq!(filter.verdict(call, [0; 6]), Verdict::Errno(errno::ENOSYS), "{call}");
    }
    for flag in [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
        assert!(refused(&filter, "clone", [flag | 17, 0, 0, 0, 0, 0]), "{flag:x}");
    }
    assert_eq!(filter.verdict("clone", [0x3d_0f00, 0, 0, 0, 0, 0]), ALLOW, "pthread_create");
}

#[test]
fn sockets_are_an_allow_list() {
    let filter = filter(Level::Standard, &[]);
    let socket = |family, kind, protocol| filter.verdict("socket", [family, kind, protocol, 0, 0, 0]);
    for (family, kind, protocol) in [
        (1, 1, 0),
        (1, 5 | 0o2000000, 0),
        (2, 1 | 0o2004000, 6),
        (2, 2, 17),
        (2, 2, 1),
        (10, 2, 58),
        (16, 3 | 0o2000000, 0),
    ] {
        assert_eq!(socket(family, kind, protocol), ALLOW, "{family} {kind} {protocol}");
    }
    for family in (0..50).filter(|family| ![1, 2, 10, 16].contains(family)) {
        assert_eq!(socket(family, 1, 0), Verdict::Errno(errno::EAFNOSUPPORT), "{family}");
        assert_ne!(socket(family | 1 << 32, 3, 0), ALLOW);
    }
    for protocol in (1..30).chain([132, 136, 255, 256, 262]).filter(|protocol| *protocol != 6) {
        assert_eq!(socket(2, 1, protocol), Verdict::Errno(errno::EPROTONOSUPPORT), "{protocol}");
    }
    for protocol in 1..32 {
        assert_eq!(socket(16, 3, protocol), Verdict::Errno(errno::EPROTONOSUPPORT), "netlink {protocol}");
    }
    assert_ne!(socket(2, 3, 1), ALLOW, "raw");
    assert_ne!(filter.verdict("socketpair", [30, 1, 0, 0, 0, 0]), ALLOW, "TIPC");
}

#[test]
fn upper_halves_of_int_arguments_fool_nobody() {
    let filter = filter(Level::Hardened, &[]);
    let high = 0xdead_beef << 32;
    for request in [0x5412, 0x541c, 0x5423, 0x4004_9409] {
        assert!(refused(&filter, "ioctl", [0, request, 0, 0, 0, 0]));
        assert!(refused(&filter, "ioctl", [0, request | high, 0, 0, 0, 0]));
    }
    assert!(refused(&filter, "setsockopt", [3, 6 | high, 31 | high, 0, 0, 0]));
    assert!(refused(&filter, "futex", [0, 6 | 128 | high, 0, 0, 0, 0]));
    assert_eq!(filter.verdict("futex", [0, 9 | 128 | 256, 0, 0, 0, 0]), ALLOW);
    assert_eq!(filter.verdict("ioctl", [0, 0x5401, 0, 0, 0, 0]), ALLOW);
}

#[test]
fn a_capability_only_ever_opens() {
    let probes: Vec<[u64; 6]> = (0..64)
        .map(|bit| [1 << bit, 1 << (bit % 32), bit, 0, 0, 0])
        .chain([[2, 3, 1, 0, 0, 0], [17, 3, 0, 0, 0, 0], [16, 3, 12, 0, 0, 0], [0; 6], [3, 0, 64, 0, 0, 0]])
        .collect();
    for level in [Level::Standard, Level::Hardened] {
        let closed = filter(level, &[]);
        for capability in Capability::ALL {
            let open = filter(level, &[*capability]);
            for call in closed.rules.iter().map(|rule| rule.call) {
                for args in &probes {
                    if closed.verdict(call, *args) == ALLOW {
                        assert_eq!(open.verdict(call, *args), ALLOW, "{call} {args:?} {}", capability.name());
                    }
                }
            }
        }
    }
}

#[test]
fn not_even_all_capabilities_open_user_namespaces() {
    let filter = filter(Level::Standard, Capability::ALL);
    assert_eq!(filter.verdict("unshare", [0x2_0000, 0, 0, 0, 0, 0]), ALLOW);
    assert!(refused(&filter, "unshare", [0x1000_0000, 0, 0, 0, 0, 0]));
    assert!(refused(&filter, "clone", [0x1000_0011, 0, 0, 0, 0, 0]));
    assert_eq!(filter.verdict("clone3", [0; 6]), Verdict::Errno(errno::ENOSYS));
    for call in ["init_module", "kexec_load", "iopl", "swapon", "keyctl", "add_key", "io_uring_setup"] {
        assert!(refused(&filter, call, [0; 6]), "{call}");
    }
}

#[test]
fn hardened_is_a_subset() {
    let (standard, hardened) = (filter(Level::Standard, &[]), filter(Level::Hardened, &[]));
    for call in calls::HARDENED.iter().map(|rule| rule.call).chain(calls::PLAIN.iter().copied()) {
        if hardened.verdict(call, [0; 6]) == ALLOW {
            assert_eq!(standard.verdict(call, [0; 6]), ALLOW);
        }
    }
    for call in ["splice", "tee", "vmsplice", "sendfile", "msgget"] {
        assert!(refused(&hardened, call, [0; 6]), "{call}");
        assert!(!refused(&standard, call, [0; 6]), "{call}");
    }
}
