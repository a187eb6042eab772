//! The tables. Start: what Docker's default profile (moby 28) allows a container with our capabilities on x86_64; minus
//! measures 2 and 5 to 8 of the project's measured list of walls. What is not named here is refused.
//!
//! Errno values are chosen so that software takes the path it has for a kernel without the feature.

use super::{ArgTest, Rule, Verdict, errno};
use crate::capability::Capability;

/// A C `int` argument equals.
const fn int(index: u8, value: u64) -> ArgTest {
    ArgTest { index, mask: 0xffff_ffff, value }
}

/// These bits are all clear.
const fn clear(index: u8, bits: u64) -> ArgTest {
    ArgTest { index, mask: bits, value: 0 }
}

/// The type of a socket without `SOCK_NONBLOCK` and `SOCK_CLOEXEC`; any other bit must be clear.
const fn socket_type(value: u64) -> ArgTest {
    ArgTest { index: 1, mask: 0xffff_ffff & !(0o4000 | 0o2000000), value }
}

const fn allow(call: &'static str, tests: &'static [ArgTest], reason: &'static str) -> Rule {
    Rule { call, tests, verdict: Verdict::Allow, reason }
}

const fn refuse(call: &'static str, tests: &'static [ArgTest], errno: u16, reason: &'static str) -> Rule {
    Rule { call, tests, verdict: Verdict::Errno(errno), reason }
}

// linux/socket.h, linux/in.h, linux/netlink.h
const UNIX: u64 = 1;
const INET: u64 = 2;
const INET6: u64 = 10;
const NETLINK: u64 = 16;
const PACKET: u64 = 17;
const STREAM: u64 = 1;
const DGRAM: u64 = 2;
const RAW: u64 = 3;
const SEQPACKET: u64 = 5;
const TCP: u64 = 6;
const UDP: u64 = 17;
const ICMP: u64 = 1;
const ICMPV6: u64 = 58;

/// `CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET`.
const NAMESPACES: u64 = 0x7e02_0000;
/// `CLONE_NEWUSER`.
const NEWUSER: u64 = 0x1000_0000;

const NO_PI: &str = "PI futexes: CVE-2014-3153, CVE-2021-3347. glibc and musl ask once and say ENOTSUP to whoever wants a \
                     priority-inheriting mutex; PostgreSQL, the JVM, Node, Python and Go never do";
const NO_OOB: &str = "MSG_OOB on unix sockets: CVE-2025-38236. Only telnet and ftp aborts send it";
const NO_NESTING: &str = "no nested namespaces: 65 of 152 kernel cases need the capabilities that they give";
const FAMILIES: &str = "only these families, types and protocols; each other one is a kernel module that loads by itself \
                        (ALG, VSOCK, PACKET, RXRPC, RDS, TIPC, CAN, NFC, BLUETOOTH, XDP, SMC, SCTP, DCCP, MPTCP)";
const BY_CAPABILITY: &str = "the capability was asked for by name and is useless without the call";

/// Calls that are looked at.
pub(super) const TESTED: &[Rule] = &[
    // --- sockets (measure 6) -------------------------------------------------------------------------------------
    allow("socket", &[int(0, UNIX), socket_type(STREAM)], FAMILIES),
    allow("socket", &[int(0, UNIX), socket_type(DGRAM)], FAMILIES),
    allow("socket", &[int(0, UNIX), socket_type(SEQPACKET)], FAMILIES),
    allow("socket", &[int(0, INET), socket_type(STREAM), int(2, 0)], FAMILIES),
    allow("socket", &[int(0, INET), socket_type(STREAM), int(2, TCP)], FAMILIES),
    allow("socket", &[int(0, INET), socket_type(DGRAM), int(2, 0)], FAMILIES),
    allow("socket", &[int(0, INET), socket_type(DGRAM), int(2, UDP)], FAMILIES),
    allow("socket", &[int(0, INET), socket_type(DGRAM), int(2, ICMP)], "ping without CAP_NET_RAW"),
    allow("socket", &[int(0, INET6), socket_type(STREAM), int(2, 0)], FAMILIES),
    allow("socket", &[int(0, INET6), socket_type(STREAM), int(2, TCP)], FAMILIES),
    allow("socket", &[int(0, INET6), socket_type(DGRAM), int(2, 0)], FAMILIES),
    allow("socket", &[int(0, INET6), socket_type(DGRAM), int(2, UDP)], FAMILIES),
    allow("socket", &[int(0, INET6), socket_type(DGRAM), int(2, ICMPV6)], "ping without CAP_NET_RAW"),
    allow("socket", &[int(0, NETLINK), socket_type(RAW), int(2, 0)], "NETLINK_ROUTE: getifaddrs(3), getaddrinfo(3)"),
    allow("socket", &[int(0, NETLINK), socket_type(DGRAM), int(2, 0)], "NETLINK_ROUTE"),
    // shadow's useradd gives up on EPERM but takes EPROTONOSUPPORT as "no audit here" (libaudit).
    refuse("socket", &[int(0, NETLINK)], errno::EPROTONOSUPPORT, FAMILIES),
    refuse("socket", &[int(0, INET)], errno::EPROTONOSUPPORT, FAMILIES),
    refuse("socket", &[int(0, INET6)], errno::EPROTONOSUPPORT, FAMILIES),
    refuse("socket", &[], errno::EAFNOSUPPORT, FAMILIES),
    allow("socketpair", &[int(0, UNIX), socket_type(STREAM)], FAMILIES),
    allow("socketpair", &[int(0, UNIX), socket_type(DGRAM)], FAMILIES),
    allow("socketpair", &[int(0, UNIX), socket_type(SEQPACKET)], FAMILIES),
    refuse("socketpair", &[], errno::EAFNOSUPPORT, FAMILIES),
    // --- socket options and flags (measure 7) --------------------------------------------------------------------
    refuse(
        "setsockopt",
        &[int(1, 6), int(2, 31)],
        errno::ENOPROTOOPT,
        "TCP_ULP: kernel TLS and friends, CVE-2023-0461",
    ),
    refuse("setsockopt", &[int(1, 1), int(2, 60)], errno::ENOPROTOOPT, "SO_ZEROCOPY: page pinning from outside"),
    refuse("setsockopt", &[int(1, 0), int(2, 64)], errno::ENOPROTOOPT, "IPT_SO_SET_REPLACE: CVE-2021-22555"),
    refuse("setsockopt", &[int(1, 41), int(2, 64)], errno::ENOPROTOOPT, "IP6T_SO_SET_REPLACE: CVE-2021-22555"),
    allow("setsockopt", &[], ""),
    allow("sendto", &[clear(3, 1)], NO_OOB),
    refuse("sendto", &[], errno::EOPNOTSUPP, NO_OOB),
    allow("sendmsg", &[clear(2, 1)], NO_OOB),
    refuse("sendmsg", &[], errno::EOPNOTSUPP, NO_OOB),
    allow("sendmmsg", &[clear(3, 1)], NO_OOB),
    refuse("sendmmsg", &[], errno::EOPNOTSUPP, NO_OOB),
    // --- processes and namespaces (measure 2) --------------------------------------------------------------------
    allow("clone", &[clear(0, NAMESPACES)], NO_NESTING),
    allow("personality", &[int(0, 0)], "PER_LINUX"),
    allow("personality", &[int(0, 8)], "PER_LINUX32: uname -m for 32-bit builds"),
    allow("personality", &[int(0, 0x2_0000)], "UNAME26"),
    allow("personality", &[int(0, 0x2_0008)], "both"),
    allow("personality", &[int(0, 0xffff_ffff)], "asks only"),
    // --- futexes and pipes (measure 7). FUTEX_CMD_MASK leaves out PRIVATE (128) and CLOCK_REALTIME (256). ---------
    refuse("futex", &[command(6)], errno::ENOSYS, NO_PI),
    refuse("futex", &[command(7)], errno::ENOSYS, NO_PI),
    refuse("futex", &[command(8)], errno::ENOSYS, NO_PI),
    refuse("futex", &[command(11)], errno::ENOSYS, NO_PI),
    refuse("futex", &[command(12)], errno::ENOSYS, NO_PI),
    refuse("futex", &[command(13)], errno::ENOSYS, NO_PI),
    allow("futex", &[], ""),
    allow("pipe2", &[clear(1, 0x80)], "O_NOTIFICATION_PIPE: CVE-2022-0995; nothing but keyutils uses it"),
    // --- ioctl (measure 7) ---------------------------------------------------------------------------------------
    refuse("ioctl", &[int(1, 0x5412)], errno::EPERM, "TIOCSTI: types into the terminal of whoever attached"),
    refuse("ioctl", &[int(1, 0x541c)], errno::EPERM, "TIOCLINUX: pastes into a console"),
    refuse("ioctl", &[int(1, 0x5423)], errno::EPERM, "TIOCSETD: line disciplines load modules (n_gsm, n_hdlc)"),
    allow("ioctl", &[], ""),
];

const fn command(value: u64) -> ArgTest {
    ArgTest { index: 1, mask: 0xffff_ffff & !(128 | 256), value }
}

/// Calls that are said not to exist: software that asks has a fall-back for exactly this answer.
pub(super) const ABSENT: &[Rule] = &[
    refuse(
        "clone3",
        &[],
        errno::ENOSYS,
        "its flags are behind a pointer that no filter can read; libc falls back to clone",
    ),
    refuse("futex_wake", &[], errno::ENOSYS, "young, nothing needs it"),
    refuse("futex_wait", &[], errno::ENOSYS, "young, nothing needs it"),
    refuse("futex_requeue", &[], errno::ENOSYS, "young, nothing needs it"),
    refuse("statmount", &[], errno::ENOSYS, "tells about mounts; libmount falls back to mountinfo"),
    refuse("listmount", &[], errno::ENOSYS, "tells about mounts; libmount falls back to mountinfo"),
    refuse("open_tree_attr", &[], errno::ENOSYS, "mount API, young"),
    refuse("file_getattr", &[], errno::ENOSYS, "young; ioctl does the same"),
    refuse("file_setattr", &[], errno::ENOSYS, "young; ioctl does the same"),
    refuse("lsm_get_self_attr", &[], errno::ENOSYS, "tells about the host's security modules"),
    refuse("lsm_set_self_attr", &[], errno::ENOSYS, "sets labels; /proc/self/attr remains"),
    refuse("lsm_list_modules", &[], errno::ENOSYS, "tells about the host's security modules"),
    refuse(
        "remap_file_pages",
        &[],
        errno::ENOSYS,
        "deprecated, CVE-2023-3269's neighbourhood; emulated by mmap in libraries",
    ),
    refuse(
        "modify_ldt",
        &[],
        errno::ENOSYS,
        "16-bit segments: CVE-2015-5157, CVE-2017-17053; only old Wine and DOS emulators",
    ),
    refuse("mq_notify", &[], errno::ENOSYS, "CVE-2017-11176, CVE-2021-38604; queues themselves work"),
    refuse("get_thread_area", &[], errno::ENOSYS, "32-bit only"),
    refuse("set_thread_area", &[], errno::ENOSYS, "32-bit only"),
    // Refused with EPERM by not being named, among others: ptrace, process_vm_readv, process_vm_writev, pidfd_getfd,
    // kcmp (Docker allows the first three since Linux 4.8; they are opt-in with CAP_SYS_PTRACE here: 14 cases;
    // debuggers need them, servers do not), name_to_handle_at, fanotify_mark, adjtimex, clock_adjtime (Docker allows),
    // and with Docker: io_uring, keyrings, bpf, perf, userfaultfd, the mount API, modules, kexec, quotas, clocks, swap.
];

/// Level hardened refuses these before anything else is looked at.
pub(super) const HARDENED: &[Rule] = &[
    refuse("splice", &[], errno::ENOSYS, "moves page-cache pages: Dirty Pipe (CVE-2022-0847) and its successors"),
    refuse("tee", &[], errno::ENOSYS, "see splice"),
    refuse("vmsplice", &[], errno::ENOSYS, "see splice"),
    refuse("sendfile", &[], errno::ENOSYS, "splices inside the kernel; servers copy instead"),
    refuse("copy_file_range", &[], errno::ENOSYS, "splices inside the kernel; cp, Go and Rust copy instead"),
    refuse("ioctl", &[int(1, 0x4004_9409)], errno::EOPNOTSUPP, "FICLONE: shares extents with other files"),
    refuse("ioctl", &[int(1, 0x4020_940d)], errno::EOPNOTSUPP, "FICLONERANGE"),
    refuse("ioctl", &[int(1, 0xc018_9436)], errno::EOPNOTSUPP, "FIDEDUPERANGE"),
    refuse(
        "setsockopt",
        &[int(1, 1), int(2, 26)],
        errno::ENOPROTOOPT,
        "SO_ATTACH_FILTER: unprivileged BPF, JIT spraying",
    ),
    refuse("setsockopt", &[int(1, 1), int(2, 50)], errno::ENOPROTOOPT, "SO_ATTACH_BPF"),
    refuse("setsockopt", &[int(1, 1), int(2, 51)], errno::ENOPROTOOPT, "SO_ATTACH_REUSEPORT_CBPF"),
    refuse("setsockopt", &[int(1, 1), int(2, 52)], errno::ENOPROTOOPT, "SO_ATTACH_REUSEPORT_EBPF"),
    refuse("msgget", &[], errno::ENOSYS, "System V messages: the heap spray of CVE-2021-22555 and many others"),
    refuse("msgsnd", &[], errno::ENOSYS, "see msgget"),
    refuse("msgrcv", &[], errno::ENOSYS, "see msgget"),
    refuse("msgctl", &[], errno::ENOSYS, "see msgget"),
    refuse("io_setup", &[], errno::ENOSYS, "the old asynchronous io; nginx and InnoDB have fall-backs"),
    refuse("futex_waitv", &[], errno::ENOSYS, "only Wine uses it"),
    refuse("personality", &[int(0, 8)], errno::EPERM, "no 32-bit builds at this level"),
    refuse("personality", &[int(0, 0x2_0008)], errno::EPERM, "no 32-bit builds at this level"),
];

/// What a capability opens.
pub(super) struct Opening {
    pub capability: Capability,
    pub rules: &'static [Rule],
}

const fn open(call: &'static str) -> Rule {
    allow(call, &[], BY_CAPABILITY)
}

/// Only capabilities that count inside a user namespace. The kernel asks for the host's own CAP_SYS_MODULE,
/// CAP_SYS_RAWIO, CAP_SYS_TIME, CAP_SYS_PACCT and CAP_SYSLOG, so opening their calls could only expose, never serve.
pub(super) const OPENED: &[Opening] = &[
    Opening {
        capability: Capability::SysAdmin,
        rules: &[
            open("mount"),
            open("umount2"),
            open("pivot_root"),
            open("fsopen"),
            open("fsconfig"),
            open("fsmount"),
            open("fspick"),
            open("move_mount"),
            open("open_tree"),
            open("mount_setattr"),
            open("setns"),
            open("sethostname"),
            open("setdomainname"),
            open("fanotify_init"),
            open("fanotify_mark"),
            allow("clone", &[clear(0, NEWUSER)], "namespaces, but never a user namespace: those have no opening"),
            allow("unshare", &[clear(0, NEWUSER)], "namespaces, but never a user namespace: those have no opening"),
        ],
    },
    Opening {
        capability: Capability::SysPtrace,
        rules: &[
            open("ptrace"),
            open("process_vm_readv"),
            open("process_vm_writev"),
            open("process_madvise"),
            open("pidfd_getfd"),
            open("kcmp"),
        ],
    },
    Opening { capability: Capability::SysChroot, rules: &[open("chroot")] },
    Opening { capability: Capability::SysBoot, rules: &[open("reboot")] },
    Opening { capability: Capability::DacReadSearch, rules: &[open("name_to_handle_at"), open("open_by_handle_at")] },
    Opening {
        capability: Capability::SysNice,
        rules: &[open("get_mempolicy"), open("set_mempolicy"), open("set_mempolicy_home_node"), open("mbind")],
    },
    Opening { capability: Capability::SysTtyConfig, rules: &[open("vhangup")] },
    Opening { capability: Capability::Bpf, rules: &[open("bpf")] },
    Opening { capability: Capability::Perfmon, rules: &[open("perf_event_open")] },
    Opening {
        capability: Capability::NetRaw,
        rules: &[
            allow("socket", &[int(0, INET), socket_type(RAW)], BY_CAPABILITY),
            allow("socket", &[int(0, INET6), socket_type(RAW)], BY_CAPABILITY),
            allow("socket", &[int(0, PACKET), socket_type(RAW)], BY_CAPABILITY),
            allow("socket", &[int(0, PACKET), socket_type(DGRAM)], BY_CAPABILITY),
        ],
    },
    Opening {
        capability: Capability::NetAdmin,
        rules: &[
            allow("socket", &[int(0, NETLINK), int(2, 4)], "NETLINK_SOCK_DIAG: ss"),
            allow("socket", &[int(0, NETLINK), int(2, 6)], "NETLINK_XFRM: IPsec"),
            allow("socket", &[int(0, NETLINK), int(2, 12)], "NETLINK_NETFILTER: nftables"),
            allow("socket", &[int(0, NETLINK), int(2, 16)], "NETLINK_GENERIC: wireguard, ipvs"),
            allow("setsockopt", &[int(1, 0), int(2, 64)], "IPT_SO_SET_REPLACE: iptables-legacy"),
            allow("setsockopt", &[int(1, 41), int(2, 64)], "IP6T_SO_SET_REPLACE: ip6tables-legacy"),
        ],
    },
];

/// Allowed without a look at the arguments.
#[rustfmt::skip]
pub(super) const PLAIN: &[&str] = &[
    "accept", "accept4", "access", "alarm", "arch_prctl", "bind", "brk", "cachestat", "capget", "capset", "chdir",
    "chmod", "chown", "clock_getres", "clock_gettime", "clock_nanosleep", "close", "close_range", "connect",
    "copy_file_range", "creat", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait",
    "epoll_pwait2", "epoll_wait", "eventfd", "eventfd2", "execve", "execveat", "exit", "exit_group", "faccessat",
    "faccessat2", "fadvise64", "fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat",
    "fcntl", "fdatasync", "fgetxattr", "flistxattr", "flock", "fork", "fremovexattr", "fsetxattr", "fstat",
    "fstatfs", "fsync", "ftruncate", "futex_waitv", "futimesat", "get_robust_list", "getcpu", "getcwd", "getdents",
    "getdents64", "getegid", "geteuid", "getgid", "getgroups", "getitimer", "getpeername", "getpgid", "getpgrp",
    "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresuid", "getrlimit", "getrusage", "getsid",
    "getsockname", "getsockopt", "gettid", "gettimeofday", "getuid", "getxattr", "getxattrat", "inotify_add_watch",
    "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents",
    "io_setup", "io_submit", "ioprio_get", "ioprio_set", "kill", "landlock_add_rule", "landlock_create_ruleset",
    "landlock_restrict_self", "lchown", "lgetxattr", "link", "linkat", "listen", "listxattr", "listxattrat",
    "llistxattr", "lremovexattr", "lseek", "lsetxattr", "lstat", "madvise", "map_shadow_stack", "membarrier",
    "memfd_create", "memfd_secret", "mincore", "mkdir", "mkdirat", "mknod", "mknodat", "mlock", "mlock2",
    "mlockall", "mmap", "mprotect", "mq_getsetattr", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink",
    "mremap", "mseal", "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock", "munlockall", "munmap",
    "nanosleep", "newfstatat", "open", "openat", "openat2", "pause", "pidfd_open", "pidfd_send_signal", "pipe",
    "pkey_alloc", "pkey_free", "pkey_mprotect", "poll", "ppoll", "prctl", "pread64", "preadv", "preadv2",
    "prlimit64", "process_mrelease", "pselect6", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink",
    "readlinkat", "readv", "recvfrom", "recvmmsg", "recvmsg", "removexattr", "removexattrat", "rename", "renameat",
    "renameat2", "restart_syscall", "rmdir", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
    "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo",
    "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam",
    "sched_getscheduler", "sched_rr_get_interval", "sched_setaffinity", "sched_setattr", "sched_setparam",
    "sched_setscheduler", "sched_yield", "seccomp", "select", "semctl", "semget", "semop", "semtimedop", "sendfile",
    "set_robust_list", "set_tid_address", "setfsgid", "setfsuid", "setgid", "setgroups", "setitimer", "setpgid",
    "setpriority", "setregid", "setresgid", "setresuid", "setreuid", "setrlimit", "setsid", "setuid", "setxattr",
    "setxattrat", "shmat", "shmctl", "shmdt", "shmget", "shutdown", "sigaltstack", "signalfd", "signalfd4",
    "splice", "stat", "statfs", "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs", "sysinfo",
    "tee", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_settime",
    "timerfd_create", "timerfd_gettime", "timerfd_settime", "times", "tkill", "truncate", "umask", "uname",
    "unlink", "unlinkat", "uretprobe", "utime", "utimensat", "utimes", "vfork", "vmsplice", "wait4", "waitid",
    "write", "writev",
];
