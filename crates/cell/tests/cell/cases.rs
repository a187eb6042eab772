//! The first process of a cell.

use bulkhead_plan::{Rlimit, TerminalSize};
use bulkhead_sys::process::{self, Ended};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;

use crate::house::{base, nested, null, output, plan, root, run, start, start_on, wishes, write};

type Case = (&'static str, fn());

pub const ALL: &[Case] = &[
    ("identity_and_names", identity_and_names),
    ("rights_are_few", rights_are_few),
    ("kernel_files_are_masked", kernel_files_are_masked),
    ("nothing_is_inherited", nothing_is_inherited),
    ("users_by_name", users_by_name),
    ("exit_codes", exit_codes),
    ("signals_reach_pid_1", signals_reach_pid_1),
    ("init_reaps_and_forwards", init_reaps_and_forwards),
    ("a_terminal_of_its_own", a_terminal_of_its_own),
    ("limits_and_sysctls", limits_and_sysctls),
    ("read_only_root", read_only_root),
    ("devices_work", devices_work),
    ("new_privileges_by_concession", new_privileges_by_concession),
    ("shared_namespaces", shared_namespaces),
    ("a_dead_monitor_takes_its_cell_along", a_dead_monitor_takes_its_cell_along),
    ("hostile_roots", hostile_roots),
    ("failures_leave_nothing", failures_leave_nothing),
    ("in_a_cgroup", in_a_cgroup),
    ("how_long_it_takes", how_long_it_takes),
];

fn identity_and_names() {
    assert_eq!(output("hostname; id -u; id -g; id -G; echo $HOME; pwd; echo $$"), "inside\n0\n0\n0\n/root\n/\n1");
    let map = output("cat /proc/self/uid_map /proc/self/setgroups");
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", &base().to_string(), "65536", "allow"]);
    // Only what the plan mounts; nothing of the host's tree.
    let mounts = output("cut -d' ' -f5 /proc/self/mountinfo | sort -u | head -4; ls /");
    assert!(mounts.starts_with("/\n/dev"), "{mounts}");
    assert_eq!(
        output("ls /sys/class/net; cat /sys/class/net/lo/operstate; cat /proc/net/dev | wc -l"),
        "lo\nunknown\n3"
    );
}

fn rights_are_few() {
    let mut wishes = wishes("grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status");
    let docker_like = plan(wishes.clone());
    let expected: u64 = docker_like.capabilities.iter().map(|capability| 1 << capability.number()).sum();
    let words = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>().join(" ");
    let all = format!(
        "CapInh: {0:016x} CapPrm: {1:016x} CapEff: {1:016x} CapBnd: {1:016x} CapAmb: {0:016x} NoNewPrivs: 1 Seccomp: 2",
        0, expected
    );
    assert_eq!(words(&run(&docker_like).output), all);
    wishes.process.user = "www".into();
    let others = format!(
        "CapInh: {0:016x} CapPrm: {0:016x} CapEff: {0:016x} CapBnd: {1:016x} CapAmb: {0:016x} NoNewPrivs: 1 Seccomp: 2",
        0, expected
    );
    assert_eq!(words(&run(&plan(wishes)).output), others);
    assert_eq!(output("cat /proc/sys/user/max_user_namespaces; unshare -U true 2>/dev/null; echo $?"), "0\n1");
    assert_eq!(
        output("mount -t tmpfs x /tmp 2>/dev/null; echo $?; /usr/sbin/chroot / true 2>/dev/null; echo $?"),
        "32\n125"
    );
}

fn kernel_files_are_masked() {
    assert_eq!(
        output(
            "cat /proc/keys /proc/interrupts /proc/kallsyms | wc -c; ls -A /sys/firmware /proc/irq | grep -v :; true"
        ),
        "0"
    );
    assert_eq!(output("ls -A /sys/module | wc -l; touch /sys/module/x 2>/dev/null; echo $?"), "0\n1");
    for write in ["> /proc/sysrq-trigger", "> /proc/sys/kernel/hostname", "> /sys/kernel/uevent_helper"] {
        assert_eq!(output(&format!("(echo x {write}) 2>/dev/null; echo $?")), "2", "{write}");
    }
    assert_eq!(
        output("grep -c ' /proc/sys ' /proc/self/mountinfo; grep ' /proc/sys ' /proc/self/mountinfo | grep -c ' ro,'"),
        "1\n1"
    );
}

fn nothing_is_inherited() {
    // `ls` itself opens 3.
    let leak = rustix::io::dup(null()).unwrap();
    assert_eq!(output("ls /proc/self/fd"), "0\n1\n2\n3");
    drop(leak);
    assert_eq!(output("env | sort | grep -v ^_ | cut -d= -f1"), "HOME\nPATH\nPWD");
    assert_eq!(output("grep -E '^(SigBlk|SigIgn)' /proc/self/status | cut -f2"), "0000000000000000\n0000000000000000");
    assert_eq!(output("cat /proc/self/oom_score_adj; ls -id /proc/self/root/ | cut -d' ' -f2"), "0\n/proc/self/root/");
    assert_eq!(output("cat /proc/keys | wc -l"), "0");
}

fn users_by_name() {
    let mut by_name = wishes("id -u; id -g; id -G; echo $HOME; pwd; test -w /dev/stdout; echo again > /dev/stdout");
    by_name.process.user = "www".into();
    by_name.process.cwd = "/srv/new".into();
    let ran = run(&plan(by_name.clone()));
    assert_eq!(ran.output, "33\n34\n34 4\n/var/www\n/srv/new\nagain\n");
    by_name.process.user = "www:root".into();
    by_name.process.groups = vec!["adm".into(), "77".into()];
    assert_eq!(run(&plan(by_name.clone())).output.lines().nth(2), Some("0 4 77"));
    by_name.process.user = "nobody-here".into();
    let error = start(&plan(by_name.clone()), None).unwrap_err();
    assert!(error.message.contains("unable to find user nobody-here"), "{error}");
    by_name.process.user = "70000".into();
    let error = start(&plan(by_name), None).unwrap_err();
    assert!(error.message.contains("outside the container's id range"), "{error}");
}

fn exit_codes() {
    assert_eq!(run(&plan(wishes("exit 42"))).ended, Ended::Code(42));
    assert_eq!(run(&plan(wishes("kill -9 $$; true"))).ended, Ended::Code(0), "pid 1 is safe from its own signals");
    let mut wishes = wishes("");
    let mut fails = |program: &str| {
        wishes.process.args = vec![program.into()];
        let error = start(&plan(wishes.clone()), None).unwrap_err();
        (error.exit_code, error.message)
    };
    assert_eq!(fails("foo"), (127, "exec: \"foo\": executable file not found in $PATH".into()));
    assert_eq!(fails("/bin/foo"), (127, "exec: \"/bin/foo\": stat /bin/foo: no such file or directory".into()));
    assert_eq!(fails("/etc/passwd"), (126, "exec: \"/etc/passwd\": permission denied".into()));
    assert_eq!(fails("/etc"), (126, "exec: \"/etc\": permission denied".into()));
    let (code, message) = fails("/etc/not-a-program");
    assert_eq!(code, 126);
    assert!(message.contains("exec format error"), "{message}");
}

fn signals_reach_pid_1() {
    let (cell, tenant, mut reader) =
        start(&plan(wishes("trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.05; done")), None).unwrap();
    let mut ready = [0u8; 6];
    reader.read_exact(&mut ready).unwrap();
    process::signal(tenant.pidfd.as_fd(), 15).unwrap();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "term\n");
    assert_eq!(process::wait(tenant.pidfd.as_fd()).unwrap(), Ended::Code(3));
    cell.demolish().unwrap();
    let (cell, tenant, _reader) = start(&plan(wishes("sleep 1000")), None).unwrap();
    process::signal(tenant.pidfd.as_fd(), 9).unwrap();
    assert_eq!(process::wait(tenant.pidfd.as_fd()).unwrap(), Ended::Signal(9));
    cell.demolish().unwrap();
}

fn init_reaps_and_forwards() {
    let mut wishes = wishes(
        "echo $$; (sleep 0.05 & ) ; sleep 0.3; ps=0; for d in /proc/[0-9]*; do ps=$((ps+1)); done; echo $ps; \
         grep -E '^(Name|Seccomp|CapEff|NoNew)' /proc/1/status; ls /proc/1/fd 2>/dev/null | wc -l; \
         trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done",
    );
    wishes.init = true;
    let (cell, tenant, mut reader) = start(&plan(wishes.clone()), None).unwrap();
    let mut text = String::new();
    let mut byte = [0u8; 1];
    while !text.ends_with("ready\n") && reader.read(&mut byte).unwrap() == 1 {
        text.push(char::from(byte[0]));
    }
    // Pid 1 is ours, the shell is 2; the orphan is gone: two processes are left.
    assert!(text.starts_with("2\n2\n"), "{text}");
    assert!(text.contains("Name:\tinit") && text.contains("Seccomp:\t2") && text.contains("NoNewPrivs:\t1"), "{text}");
    process::signal(tenant.pidfd.as_fd(), 15).unwrap();
    assert_eq!(process::wait(tenant.pidfd.as_fd()).unwrap(), Ended::Code(7));
    cell.demolish().unwrap();
    wishes.process.args = vec!["missing".into()];
    assert_eq!(start(&plan(wishes), None).unwrap_err().exit_code, 127);
}

fn a_terminal_of_its_own() {
    let mut wishes = wishes("tty; stty size; ls /dev/pts; echo > /dev/tty; cat /dev/console & read x; echo got $x");
    wishes.process.terminal = Some(TerminalSize { rows: 33, columns: 111 });
    wishes.process.user = "www".into();
    let (cell, tenant, _) = start(&plan(wishes), None).unwrap();
    let mut terminal = std::fs::File::from(tenant.terminal.unwrap());
    terminal.write_all(b"word\n").unwrap();
    let mut text = String::new();
    // EIO at the end: the last user of the other end is gone.
    let _end = terminal.read_to_string(&mut text);
    process::wait(tenant.pidfd.as_fd()).unwrap();
    cell.demolish().unwrap();
    assert!(text.contains("/dev/pts/0") && text.contains("33 111") && text.contains("0  ptmx"), "{text}");
    assert!(text.contains("got word"), "{text}");
}

fn limits_and_sysctls() {
    let mut wishes = wishes("ulimit -Sn; ulimit -Hn; ulimit -c; cat /proc/sys/net/ipv4/ip_unprivileged_port_start");
    wishes.process.rlimits = vec![
        Rlimit { name: "nofile".into(), soft: Some(100), hard: Some(200) },
        Rlimit { name: "core".into(), soft: Some(0), hard: Some(0) },
    ];
    wishes.sysctls.insert("net.ipv4.ip_unprivileged_port_start".into(), "80".into());
    assert_eq!(run(&plan(wishes)).output, "100\n200\n0\n80\n");
    let mut wishes = crate::house::wishes("ulimit -Hn");
    let ours = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap();
    wishes.process.rlimits = vec![Rlimit { name: "nofile".into(), soft: Some(10), hard: Some(ours + 1) }];
    let (cell, tenant, mut reader) = start(&plan(wishes), None).unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    process::wait(tenant.pidfd.as_fd()).unwrap();
    let hard: u64 = text.trim().parse().unwrap();
    assert!(hard == ours + 1 || (hard == ours && cell.warnings().iter().any(|line| line.contains("nofile"))), "{text}");
    cell.demolish().unwrap();
}

fn read_only_root() {
    let mut wishes =
        wishes("touch /x 2>/dev/null; echo $?; touch /tmp/x 2>/dev/null; echo $?; touch /dev/shm/x && pwd");
    wishes.read_only_root = true;
    wishes.process.cwd = "/made/before".into();
    assert_eq!(run(&plan(wishes)).output, "1\n1\n/made/before\n");
    assert_eq!(output("touch /x /tmp/x && echo fine; touch /usr/x 2>/dev/null; echo $?"), "fine\n1");
}

fn devices_work() {
    assert_eq!(output("head -c 4 /dev/zero | wc -c; echo x > /dev/null; head -c 8 /dev/urandom | wc -c"), "4\n8");
    // Where no node can be made, the host's is bound, which belongs to nobody inside.
    let owner = if nested() { "65534" } else { "0" };
    let node = output("stat -c '%u %a %t:%T' /dev/null; readlink /dev/fd /dev/ptmx");
    assert_eq!(node, format!("{owner} 666 1:3\n/proc/self/fd\npts/ptmx"));
    assert_eq!(
        output("mknod /dev/x c 1 3 2>/dev/null; echo $?; stat -f -c %T /dev/shm /dev/mqueue"),
        "1\ntmpfs\nmqueue"
    );
}

fn new_privileges_by_concession() {
    let mut wishes = wishes("grep -E '^(NoNew|Seccomp:|CapEff)' /proc/self/status | cut -f2");
    wishes.security_opts = vec!["no-new-privileges=false".into()];
    wishes.process.user = "www".into();
    assert_eq!(run(&plan(wishes)).output, "0000000000000000\n0\n2\n");
}

/// `--network host --pid host --ipc host --uts host`: what is conceded is shared, the rest stands.
fn shared_namespaces() {
    let mut wishes = wishes(
        "for n in net pid ipc uts user mnt cgroup; do readlink /proc/self/ns/$n; done; cat /proc/sys/user/max_user_namespaces; \
         grep -E '^(CapBnd|Seccomp:)' /proc/self/status; (echo x > /sys/kernel/uevent_helper) 2>/dev/null; echo $?; \
         cat /proc/1/root/etc/shadow 2>/dev/null; cat /proc/1/environ 2>/dev/null; hostname x 2>/dev/null; echo $?",
    );
    wishes.network = bulkhead_plan::NetworkWish::Host;
    (wishes.host_pid, wishes.host_ipc, wishes.host_uts) = (true, true, true);
    wishes.host_mounts.sysfs = Some(1);
    wishes.host_mounts.proc = Some(2);
    let plan = plan(wishes);
    let (mut reader, writer) = std::io::pipe().unwrap();
    let stdio = [null(), writer.try_clone().unwrap().into(), writer.into()];
    let mut handles = crate::house::handles();
    for path in ["/sys", "/proc"] {
        handles.push(Some(bulkhead_sys::mount::clone_tree(rustix::fs::CWD, path, true).unwrap()));
    }
    let materials = bulkhead_cell::Materials { plan: &plan, root: root(), handles, cgroup: None, stdio };
    let (cell, tenant) = bulkhead_cell::launch(materials).unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    process::wait(tenant.pidfd.as_fd()).unwrap();
    cell.demolish().unwrap();
    let ours = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
    let theirs: Vec<&str> = text.lines().collect();
    for (at, name) in ["net", "pid", "ipc", "uts"].iter().enumerate() {
        assert_eq!(theirs[at], ours(name).to_str().unwrap());
    }
    for (at, name) in ["user", "mnt", "cgroup"].iter().enumerate() {
        assert_ne!(theirs[at + 4], ours(name).to_str().unwrap());
    }
    assert_eq!(theirs[7], "0");
    assert!(theirs[9].ends_with('2'), "{text}");
    assert_eq!(&theirs[10..], ["2", "1"], "nothing of the host can be read or written");
}

fn a_dead_monitor_takes_its_cell_along() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let aside = null();
    let (monitor, _) = bulkhead_sys::spawn::isolated(bulkhead_sys::namespace::Kinds::NONE, None, aside.as_fd(), || {
        let (_cell, tenant, _output) = start(&plan(wishes("sleep 1000")), None).unwrap();
        (&writer).write_all(&tenant.pid.to_le_bytes()).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(1000));
        0
    })
    .unwrap();
    let mut pid = [0u8; 4];
    reader.read_exact(&mut pid).unwrap();
    let tenant = process::open(u32::from_le_bytes(pid)).unwrap();
    process::signal(monitor.as_fd(), 9).unwrap();
    process::wait(monitor.as_fd()).unwrap();
    // A pidfd becomes readable at the end of its process.
    let mut watched = [rustix::event::PollFd::new(&tenant, rustix::event::PollFlags::IN)];
    let patience = rustix::time::Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut watched, Some(&patience)).unwrap(), 1, "the container outlived its monitor");
}

fn hostile_roots() {
    // The image's /proc, /sys and /dev are links out of their places: refused by name.
    for name in ["proc", "sys", "dev"] {
        let root = root();
        rustix::fs::unlinkat(&root, name, rustix::fs::AtFlags::REMOVEDIR).unwrap();
        rustix::fs::symlinkat("/etc", &root, name).unwrap();
        let error = start_on(&plan(wishes("true")), root, None).unwrap_err();
        assert!(error.message.contains("symbolic link"), "{error}");
    }
    // Its passwd file is a link to a host's file, a pipe, or endless.
    let root = root();
    rustix::fs::unlinkat(&root, "etc/passwd", rustix::fs::AtFlags::empty()).unwrap();
    rustix::fs::symlinkat("../../../../../../../../etc/hostname", &root, "etc/passwd").unwrap();
    let (cell, tenant, _reader) = start_on(&plan(wishes("true")), root, None).unwrap();
    assert_eq!(process::wait(tenant.pidfd.as_fd()).unwrap(), Ended::Code(0));
    cell.demolish().unwrap();
    let root = crate::house::root();
    write(&root, "etc/group", &"x".repeat(5 << 20), 0o644);
    let error = start_on(&plan(wishes("true")), root, None).unwrap_err();
    assert!(error.message.contains("/etc/group"), "{error}");
    let root = crate::house::root();
    rustix::fs::unlinkat(&root, "etc/passwd", rustix::fs::AtFlags::empty()).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(&root, "etc/passwd", rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert!(start_on(&plan(wishes("true")), root, None).is_err());
}

fn failures_leave_nothing() {
    let mut wishes = wishes("true");
    wishes.process.cwd = "/etc/passwd".into();
    assert_eq!(start(&plan(wishes.clone()), Some("/bulkhead-cell-test-failure")).unwrap_err().exit_code, 127);
    let mut broken = plan(crate::house::wishes("true"));
    broken.hostname = "x".repeat(65);
    let error = start(&broken, Some("/bulkhead-cell-test-failure")).unwrap_err();
    assert_eq!(error.step, "hostname");
    assert!(!std::path::Path::new("/sys/fs/cgroup/memory/bulkhead-cell-test-failure").exists());
}

fn in_a_cgroup() {
    let wishes = wishes(
        "cat /proc/self/cgroup | cut -d: -f3 | sort -u; \
         cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; \
         touch /sys/fs/cgroup/x 2>/dev/null || echo done; exec sleep 1000 > /dev/null 2>&1",
    );
    let mut plan = plan(wishes);
    plan.limits.memory = Some(64 << 20);
    let (cell, tenant, mut reader) = start(&plan, Some("/bulkhead-cell-test")).unwrap();
    let mut text = [0u8; 1024];
    let mut seen = String::new();
    while !seen.contains("done") {
        let count = reader.read(&mut text).unwrap();
        if count == 0 {
            process::signal(tenant.pidfd.as_fd(), 9).unwrap();
            panic!("{seen}");
        }
        seen.push_str(&String::from_utf8_lossy(&text[..count]));
    }
    assert!(seen.starts_with("/\n"), "{seen}");
    assert!(seen.contains("67108864"), "the container sees its own limit: {seen}");
    assert!(!cell.group().unwrap().processes().unwrap().is_empty());
    assert!(cell.walls().iter().all(|wall| wall.state.starts_with("full")), "{:?}", cell.walls());
    process::signal(tenant.pidfd.as_fd(), 9).unwrap();
    process::wait(tenant.pidfd.as_fd()).unwrap();
    cell.demolish().unwrap();
    assert!(!std::path::Path::new("/sys/fs/cgroup/memory/bulkhead-cell-test").exists());
}

/// Prints, asserts nothing: wall time says little on a busy machine, processor time more.
fn how_long_it_takes() {
    let rounds: u32 = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let mut wishes = wishes("");
    wishes.process.args = vec!["/bin/true".into()];
    let plan = plan(wishes);
    for cgroup in [None, Some("/bulkhead-cell-test-time")] {
        let mut times = Vec::new();
        let before = processor_time();
        for _ in 0..rounds {
            let (root, handles, stdio) = (root(), crate::house::handles(), [null(), null(), null()]);
            let begin = std::time::Instant::now();
            let materials = bulkhead_cell::Materials { plan: &plan, root, handles, cgroup, stdio };
            let (cell, tenant) = bulkhead_cell::launch(materials).unwrap();
            let launched = begin.elapsed();
            process::wait(tenant.pidfd.as_fd()).unwrap();
            cell.demolish().unwrap();
            times.push((begin.elapsed(), launched));
        }
        let processor = (processor_time() - before) / rounds;
        times.sort();
        let ((whole, launched), least) = (times[times.len() / 2], times[0].0);
        println!("{cgroup:?}: launch {launched:?}, with the end {whole:?}, least {least:?}, processor {processor:?}");
    }
}

/// Ours and our children's.
fn processor_time() -> std::time::Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = (11..15).map(|field| fields[field].parse::<u64>().unwrap()).sum();
    std::time::Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}
