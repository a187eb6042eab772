//! What of the kernel is not in a namespace: files, devices, modules (S08 to S14), and the host's side doors (S28).

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use bulkhead_tests::{Container, DEBIAN, Run, root_is_here, shared, unique};

/// Runs a script of this interpreter in a container with these options.
fn inside(options: &[&str], interpreter: &str, script: &str) -> Run {
    let flag = if interpreter == "perl" { "-e" } else { "-c" };
    let words = ["run", "--rm"].into_iter().chain(options.iter().copied()).chain([DEBIAN, interpreter, flag, script]);
    shared().bulkhead(words)
}

const SWEEP: &str = include_str!("sweep.pl");

/// The text files of the host below `/proc/sys` and `/sys` that have a write bit, with their contents. Other file
/// systems below `/sys` are not part of a container's sysfs; files without the size of a page are no settings but windows
/// onto hardware, and are not read.
fn settings() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for (top, sized) in [("/proc/sys", false), ("/sys", true)] {
        let device = std::fs::metadata(top).expect("the kernel's files").dev();
        collect(Path::new(top), device, sized, &mut found);
    }
    found
}

fn collect(folder: &Path, device: u64, sized: bool, found: &mut BTreeMap<PathBuf, String>) {
    // What disappears meanwhile is nobody's setting any more.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, Ok(about)) = (entry.path(), entry.metadata()) else { continue };
        if about.is_dir() && about.dev() == device {
            collect(&path, device, sized, found);
        } else if about.is_file()
            && about.permissions().mode() & 0o222 != 0
            && (!sized || about.size() == 4096)
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            found.insert(path, text.trim_end().to_owned());
        }
    }
}

/// Settings that hold now what the sweep would have written.
fn swept(before: &BTreeMap<PathBuf, String>, after: &BTreeMap<PathBuf, String>) -> BTreeSet<PathBuf> {
    let hit = |old: &str, new: &str| {
        let moved =
            old.parse().ok().and_then(|old: u64| new.parse().ok().map(|new: u64| old.checked_add(3) == Some(new)));
        new.contains("bulkhead-sweep") || moved == Some(true)
    };
    let changed = before.iter().filter(|(path, old)| after.get(*path).is_some_and(|new| hit(old, new)));
    changed.map(|(path, _)| path.clone()).collect()
}

/// Files that the sweep could open, but for those of its own process: they say how the kernel treats their writer and
/// nobody else.
fn doors(said: &str) -> Vec<&str> {
    let opened = said.lines().filter(|line| line.starts_with("written ") || line.starts_with("opened "));
    opened.filter(|line| !line.contains(" /proc/1/")).collect()
}

#[test]
fn s10_a_write_to_every_file_of_proc_and_sys_changes_nothing_on_the_host() {
    if !root_is_here() {
        return;
    }
    let mut suspects: Option<BTreeSet<PathBuf>> = None;
    for options in [&[][..], &["--isolation", "hardened"], &["--cap-add", "DAC_READ_SEARCH"]] {
        let before = settings();
        assert!(before.len() > 500, "only {} settings of the host were found", before.len());
        let said = inside(options, "perl", SWEEP).ok();
        let seen: usize = said.lines().find_map(|line| line.strip_prefix("seen ")?.parse().ok()).expect("an end");
        assert!(seen > 1000, "only {seen} files were tried: {said}");
        assert_eq!(doors(&said), Vec::<&str>::new(), "{options:?}: open doors");
        assert!(said.lines().filter(|line| line.starts_with("closed ")).count() <= 1, "unread folders: {said}");
        let changed = swept(&before, &settings());
        // A counter of the host may move by the same step by chance, but not each time.
        suspects = Some(suspects.map_or(changed.clone(), |suspects| &suspects & &changed));
    }
    assert_eq!(suspects, Some(BTreeSet::new()), "settings of the host changed");
    // Controls: the sweep finds a door where there is one, and the comparison a change.
    let open = inside(&["--privileged"], "perl", SWEEP).ok();
    assert!(doors(&open).contains(&"written /proc/sys/net/ipv4/ip_forward"), "the sweep misses an open door: {open}");
    let before = BTreeMap::from([(PathBuf::from("a"), "1".to_owned()), (PathBuf::from("b"), "x".to_owned())]);
    let after = BTreeMap::from([(PathBuf::from("a"), "4".to_owned()), (PathBuf::from("b"), "y".to_owned())]);
    assert_eq!(swept(&before, &after), BTreeSet::from([PathBuf::from("a")]));
}

#[test]
fn s08_security_modules_of_the_host_are_out_of_sight() {
    if !root_is_here() {
        return;
    }
    let script = r#"for d in /sys/kernel/security /sys/fs/selinux /sys/fs/bpf /sys/kernel/debug; do
        test -e $d || continue; ls -A $d; mkdir $d/x 2>/dev/null && echo "made $d/x"
        (echo x >$d/load) 2>/dev/null && echo "wrote $d/load"; done
        for a in current exec apparmor/current apparmor/exec; do test -e /proc/self/attr/$a || continue
        (echo "changeprofile unconfined" >/proc/self/attr/$a) 2>/dev/null && echo "changed $a"; done
        mount -t securityfs x /mnt 2>/dev/null && echo mounted; true"#;
    assert_eq!(inside(&[], "sh", script).ok(), "");
    assert_eq!(inside(&["--isolation", "hardened"], "sh", script).ok(), "");
    // Control: it is the mask that hides them.
    let covered = "grep -c ' /sys/kernel/security ' /proc/self/mountinfo";
    assert_eq!(inside(&[], "sh", covered).ok(), "1");
    inside(&["--security-opt", "systempaths=unconfined"], "sh", covered).fails(1);
}

#[test]
fn s09_cgroup_files_can_be_read_and_not_written() {
    if !root_is_here() {
        return;
    }
    let script = r#"cut -d: -f3 /proc/self/cgroup | sort -u
        for f in $(find /sys/fs/cgroup -type f); do (echo 1 >$f) 2>/dev/null && echo "wrote $f"; done
        for d in $(find /sys/fs/cgroup -type d); do mkdir $d/x 2>/dev/null && echo "made $d/x"; done
        for kind in cgroup cgroup2; do mount -t $kind x /mnt 2>/dev/null && echo "mounted $kind"; done
        find /sys/fs/cgroup -name release_agent; test -e /sys/fs/cgroup/memory -o -e /sys/fs/cgroup/memory.max"#;
    assert_eq!(inside(&[], "sh", script).ok(), "/");
    let as_root = ["--cap-add", "SYS_ADMIN", "--cap-add", "DAC_READ_SEARCH", "--security-opt", "seccomp=unconfined"];
    let said = inside(&as_root, "sh", &script.replace("mount -t", "false")).ok();
    assert_eq!(said, "/", "with capabilities conceded");
    // Control: the same files of the same group can be written from outside.
    let home = shared();
    let container = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", home.inspect(&container.name, "{{.State.Pid}}")));
    let groups = groups.expect("it runs");
    let mut found = groups.lines().filter_map(|line| {
        let (names, path) = line.split_once(':')?.1.split_once(':')?;
        let file = match names {
            "" => format!("/sys/fs/cgroup{path}/cgroup.max.depth"),
            names => format!("/sys/fs/cgroup/{names}{path}/notify_on_release"),
        };
        std::fs::read_to_string(&file).ok().map(|value| (file, value))
    });
    let (file, value) = found.next().expect("a file of its group");
    std::fs::write(&file, value.trim()).expect("the positive control cannot write");
    let seen = inside(&["--cgroupns", "host"], "sh", "cut -d: -f3 /proc/self/cgroup | sort -u").ok();
    assert_ne!(seen, "/", "the positive control sees its place");
}

#[test]
fn s11_s12_triggers_and_hardware_below_proc_are_covered() {
    if !root_is_here() {
        return;
    }
    // "h" only prints a help text to the kernel's log.
    let script = r#"(echo h >/proc/sysrq-trigger) 2>/dev/null && echo wrote; cat /proc/sysrq-trigger
        ls -A /proc/irq /proc/bus | grep -v :$; ls -A /proc/irq | wc -l
        (echo 1 >/proc/irq/default_smp_affinity) 2>/dev/null && echo steered
        touch /proc/irq/x /proc/bus/x 2>/dev/null && echo made; true"#;
    for options in [&[][..], &["--cap-add", "ALL"]] {
        assert_eq!(inside(options, "sh", script).ok().trim(), "0", "{options:?}");
    }
    let options = std::fs::OpenOptions::new().write(true).open("/proc/sysrq-trigger");
    assert!(options.is_ok() || !Path::new("/proc/sysrq-trigger").exists(), "the positive control cannot open it");
    let open = inside(&["--security-opt", "systempaths=unconfined"], "sh", "ls -A /proc/irq | wc -l").ok();
    assert_ne!(open, "0", "the positive control sees the host's interrupts");
}

/// Opens each of these and says how it went.
const OPEN: &str = r#"for (@ARGV) { print "$_ ", (sysopen(F, $_, 0) ? "open" : $!+0), "\n" }"#;

#[test]
fn s13_devices_of_the_host_have_no_node_and_cannot_be_opened_by_number() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let nodes = "find /dev -type b -o -type c | grep -v ^/dev/pts | sort | tr '\\n' ' '";
    let six = "/dev/full /dev/null /dev/random /dev/tty /dev/urandom /dev/zero";
    assert_eq!(inside(&[], "sh", nodes).ok().trim(), six);
    let make = "for n in 'c 1 1' 'c 1 3' 'b 8 0' 'b 254 0'; do mknod /x $n 2>/dev/null && echo made $n; done; true";
    assert_eq!(inside(&[], "sh", make).ok(), "");
    assert_eq!(inside(&["--cap-add", "MKNOD"], "sh", make).ok(), "", "with CAP_MKNOD conceded");
    // Nodes that somebody else made, as a shared folder can bring them.
    let folder = tempfile::tempdir().expect("a folder");
    for (name, numbers) in
        [("zero", "c 1 5"), ("mem", "c 1 1"), ("kmsg", "c 1 11"), ("tun", "c 10 200"), ("disk", "b 254 0")]
    {
        let script = format!("mknod -m 666 {}/{name} {numbers}", folder.path().display());
        bulkhead_tests::must(Command::new("sh").args(["-c", &script]));
    }
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let mount = format!("{}:/d", folder.path().display());
    let names = ["/d/zero", "/d/mem", "/d/kmsg", "/d/tun", "/d/disk"];
    let refused = names.map(|name| format!("{name} 13")).join("\n");
    for capability in ["MKNOD", "ALL"] {
        let words = ["run", "--rm", "-v", &mount, "--cap-add", capability, DEBIAN, "perl", "-e", OPEN];
        assert_eq!(home.bulkhead(words.into_iter().chain(names)).ok(), refused, "--cap-add {capability}");
    }
    let container = Container::start(home, &["--cap-add", "MKNOD", DEBIAN, "sleep", "1000"]);
    let group = device_group(&home.inspect(&container.name, "{{.State.Pid}}"));
    // The device list alone: a process of the host's root, with every right, in the container's group.
    let from_group = |group: &str| {
        let enter =
            format!("echo $$ >{group}/cgroup.procs && cd {} && exec perl -e '{OPEN}' *", folder.path().display());
        bulkhead_tests::must(Command::new("sh").args(["-c", &enter]))
    };
    assert_eq!(from_group(&group), "disk 1\nkmsg 1\nmem 1\ntun 1\nzero open");
    let own = from_group(&device_group("self"));
    assert!(own.contains("kmsg open") && own.contains("zero open"), "the positive control cannot open them: {own}");
}

/// The folder of the cgroup whose device list holds a process.
fn device_group(pid: &str) -> String {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    let of = |wanted: &str| {
        groups
            .lines()
            .find_map(|line| line.split_once(':')?.1.strip_prefix(wanted)?.strip_prefix(':').map(str::to_owned))
    };
    match of("devices") {
        Some(path) => format!("/sys/fs/cgroup/devices{path}"),
        None => format!("/sys/fs/cgroup{}", of("").expect("a group")),
    }
}

#[test]
fn s14_no_module_is_loaded_by_call_or_by_name() {
    if !root_is_here() {
        return;
    }
    // init_module, finit_module, delete_module with arguments that a kernel which let them through would refuse with
    // another error; then socket families and file systems, for which a kernel with modules would look for one.
    let script = r#"for (175, 313, 176) { $n = "none"; print "call $_ ", (syscall($_, $n, 0, 0) == -1 ? $!+0 : "done"), "\n" }
        for (17, 21, 29, 30, 31, 33, 35, 37, 38, 40, 41, 44) { socket(S, $_, $_ == 38 ? 5 : 2, 0) and print "family $_\n" }
        for ("bfs", "ext4", "nfs", "overlay") { $kind = $_; $d = "/mnt"; $z = "";
            syscall(165, $z, $d, $kind, 0, $z) == 0 and print "mounted $kind\n" }
        $kind = "bfs"; syscall(430, $kind, 0) >= 0 and print "fsopen $kind\n";
        print -e "/proc/modules" && -s "/proc/modules" ? "modules\n" : "", -e "/sys/module/kernel" ? "sys\n" : ""; "#;
    let refused = "call 175 1\ncall 313 1\ncall 176 1";
    for options in [&[][..], &["--isolation", "hardened"]] {
        assert_eq!(inside(options, "perl", script).ok(), refused, "{options:?}");
    }
    // Without the filter it is the missing capability of the host that holds.
    let open = ["--security-opt", "seccomp=unconfined", "--cap-add", "ALL"];
    let calls = script.lines().next().expect("a line");
    let said = inside(&open, "perl", calls).ok();
    assert!(said.lines().all(|line| line.ends_with(" 1") || line.ends_with(" 38")), "{said}");
    // Control: a family that the filter closes opens when it is conceded.
    let packet = "socket(S, 17, 3, 0) and print 'open'";
    assert_eq!(inside(&[], "perl", packet).ok(), "");
    assert_eq!(inside(&["--cap-add", "NET_RAW"], "perl", packet).ok(), "open");
}

#[test]
fn s28_loopback_and_abstract_sockets_of_the_host_are_out_of_reach() {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixListener};
    if !root_is_here() {
        return;
    }
    let name = unique("bulkhead-abstract");
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _abstract = UnixListener::bind_addr(&address).expect("a socket");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = tcp.local_addr().expect("a port").port();
    let script = format!(
        r#"use Socket; socket(A, AF_UNIX, SOCK_STREAM, 0); print "abstract\n" if connect(A, pack_sockaddr_un("\0{name}"));
        socket(B, AF_INET, SOCK_STREAM, 0); print "loopback\n" if connect(B, pack_sockaddr_in({port}, inet_aton("127.0.0.1")));
        open(F, "/proc/net/unix"); while (<F>) {{ $seen += /{name}/ }} print "seen\n" if $seen"#
    );
    assert_eq!(inside(&[], "perl", &script).ok(), "");
    let control = inside(&["--network", "host"], "perl", &script).ok();
    assert_eq!(control, "abstract\nloopback\nseen", "the positive control");
}

#[test]
fn s34_each_shared_namespace_is_a_named_deviation() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    for (flag, namespace) in
        [("--pid", "pid"), ("--network", "net"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup")]
    {
        let container = Container::start(home, &[flag, "host", DEBIAN, "sleep", "1000"]);
        let words = home.inspect(&container.name, "{{range .Bulkhead.Concessions}}{{.Sentence}}\n{{end}}");
        assert_eq!(words.lines().count(), 1, "{flag}: {words}");
        assert!(words.starts_with("host"), "{flag}: {words}");
        let pid = home.inspect(&container.name, "{{.State.Pid}}");
        for name in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"] {
            let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("a namespace");
            assert_eq!(link(&pid) == link("self"), name == namespace, "{flag}: {name}");
        }
    }
}

#[test]
fn s41_two_containers_of_different_ranges_share_a_group_through_a_volume() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let volume = unique("group");
    home.bulkhead(["volume", "create", &volume]).ok();
    let mount = format!("{volume}:/v");
    let prepare = "chgrp 4242 /v && chmod 2770 /v && cat /proc/self/uid_map";
    let range = home.bulkhead(["run", "--rm", "-v", &mount, DEBIAN, "sh", "-c", prepare]).ok();
    let run = |user: &str, groups: &[&str], text: &str| {
        let words = ["run", "--rm", "-v", &mount, "-u", user].into_iter().chain(groups.iter().copied());
        home.bulkhead(words.chain([DEBIAN, "sh", "-c", text]))
    };
    let member = ["--group-add", "4242"];
    let first = Container::start(
        home,
        &[
            "-v",
            &mount,
            "-u",
            "1000",
            "--group-add",
            "4242",
            DEBIAN,
            "sh",
            "-c",
            "umask 7; echo one >/v/file; sleep 1000",
        ],
    );
    let own = home.bulkhead(["exec", &first.name, "cat", "/proc/self/uid_map"]).ok();
    let text = "echo two >>/v/file; cat /v/file; stat -c %u:%g /v/file; cat /proc/self/uid_map";
    let second = run("2000", &member, text).ok();
    run("2000", &[], "cat /v/file").fails(1).says("denied");
    drop(first);
    home.bulkhead(["volume", "rm", &volume]).ok();
    assert!(second.starts_with("one\ntwo\n1000:4242\n"), "{second}");
    assert!(!second.ends_with(&own), "both have the range {own}");
    assert!(range.split_whitespace().count() == 3, "{range}");
}
