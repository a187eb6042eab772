//! One test for each requirement row that this much of the house has to hold.

use std::collections::BTreeSet;
use std::process::Command;

use bulkhead_tests::{Container, DEBIAN, Home, root_is_here, shared, unique};

#[path = "rows/kernel.rs"]
mod kernel;

fn pid(home: &Home, container: &Container<'_>) -> String {
    home.inspect(&container.name, "{{.State.Pid}}")
}

/// The four host user ids (real, effective, saved, file system) of a process.
fn uids(pid: &str) -> BTreeSet<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("Uid:")).expect("ids");
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

/// Runs a shell command as a host user id with no namespaces and no rights: what an escapee would be.
fn as_escapee(uid: &str, text: &str) -> bool {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", uid, "--regid", uid, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
    command.args(["sh", "-c", text]);
    command.output().expect("setpriv is there").status.success()
}

#[test]
fn s05_an_escapee_reaches_nothing_of_another_container() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let victim =
        Container::start(home, &["-e", "SECRET=1", DEBIAN, "sh", "-c", "echo log; echo data >/file; sleep 1000"]);
    let attacker = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    let uid = uids(&pid(home, &attacker)).into_iter().next().expect("an id");
    let victim_pid = pid(home, &victim);
    let id = home.inspect(&victim.name, "{{.Id}}");
    let root = home.folder().join("root");
    let targets = [
        root.join("containers").join(&id).join("config.json").display().to_string(),
        root.join("uppers").join(&id).join("up/file").display().to_string(),
        home.folder().join("run/containers").join(&id).join("control.sock").display().to_string(),
        format!("/proc/{victim_pid}/environ"),
        format!("/proc/{victim_pid}/root/etc/passwd"),
        format!("/proc/{victim_pid}/fd/1"),
    ];
    for target in &targets {
        let read = format!("test -e {target}");
        let control = Command::new("sh").args(["-c", &read]).status().expect("sh").success();
        assert!(control, "the positive control cannot see {target}");
        assert!(!as_escapee(&uid, &format!("cat {target} >/dev/null || test -S {target}")), "{target} is open");
    }
    assert!(!as_escapee(&uid, &format!("kill -0 {victim_pid}")), "the other container can be signalled");
    assert!(as_escapee(&uid, &format!("kill -0 {}", pid(home, &attacker))), "the control cannot signal its own");
}

/// The status of the process that converts a layer for `loader`, once it has given up its rights.
fn converter_of(loader: u32) -> Option<String> {
    let parent = format!("PPid:\t{loader}\n");
    let entries = std::fs::read_dir("/proc").expect("proc").flatten();
    let converters = entries.filter(|entry| {
        std::fs::read(entry.path().join("cmdline"))
            .is_ok_and(|words| words.windows(13).any(|at| at == b"convert-layer"))
    });
    let mut statuses = converters.filter_map(|entry| std::fs::read_to_string(entry.path().join("status")).ok());
    statuses.find(|status| status.contains(&parent) && status.contains("\nSeccomp:\t2\n"))
}

#[test]
fn s05_a_layer_is_converted_by_a_process_without_rights() {
    if !root_is_here() {
        return;
    }
    let home = Home::new();
    let archive = home.folder().join("debian.tar");
    shared().bulkhead(["save".as_ref(), "-o".as_ref(), archive.as_os_str(), DEBIAN.as_ref()]).ok();
    let mut load = home.command(["load".as_ref(), "-i".as_ref(), archive.as_os_str()]).spawn().expect("it starts");
    let mut seen = None;
    while seen.is_none() && load.try_wait().expect("a child").is_none() {
        seen = converter_of(load.id());
    }
    assert!(load.wait().expect("a child").success());
    let status = seen.expect("a converter was seen at work");
    let nobody = "\t2147483646".repeat(4);
    for line in [&format!("Uid:{nobody}"), &format!("Gid:{nobody}"), "Groups:\t ", "NoNewPrivs:\t1"] {
        assert!(status.lines().any(|one| one == line), "no {line:?} in\n{status}");
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(status.contains(&format!("\n{set}:\t0000000000000000\n")), "{set} in\n{status}");
    }
}

#[test]
fn s06_no_container_process_shares_an_id_with_the_engine_or_another_container() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let words = ["-u", "1000", DEBIAN, "sleep", "1000"];
    let containers: Vec<_> = (0..3).map(|_| Container::start(home, &words)).collect();
    let root = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    let mut seen = BTreeSet::from(["0".to_owned()]);
    for container in containers.iter().chain([&root]) {
        for uid in uids(&pid(home, container)) {
            assert!(seen.insert(uid.clone()), "{uid} is used twice");
        }
    }
}

#[test]
fn s18_a_set_user_id_program_gives_nothing() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let text =
        "cp /usr/bin/id /id; chmod 4755 /id; grep NoNewPrivs /proc/self/status; exec setpriv --reuid 1000 /id -u";
    let said = home.bulkhead(["run", "--rm", DEBIAN, "sh", "-c", text]).ok();
    assert_eq!(said, "NoNewPrivs:\t1\n1000");
    let open = ["run", "--rm", "--security-opt", "no-new-privileges=false", DEBIAN, "sh", "-c", text];
    let control = home.bulkhead(open);
    assert!(control.ok().ends_with("\n0"), "the positive control does not get out: {control:?}");
    let hardened =
        ["run", "--rm", "--isolation", "hardened", DEBIAN, "sh", "-c", "touch /x 2>&1; grep ' / ' /proc/mounts"];
    let said = home.bulkhead(hardened).ok();
    assert!(said.contains("Read-only") && said.contains("nosuid"), "{said}");
}

#[test]
fn s22_each_deviation_is_named_in_words() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let closed = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    assert_eq!(home.inspect(&closed.name, "{{len .Bulkhead.Concessions}}"), "0");
    let name = unique("open");
    let run =
        home.bulkhead(["run", "-d", "--name", &name, "--cap-add", "NET_ADMIN", "--pid", "host", DEBIAN, "sleep", "9"]);
    run.fails(0).says("NET_ADMIN");
    let words = home.inspect(&name, "{{range .Bulkhead.Concessions}}{{.Sentence}}\n{{end}}");
    home.bulkhead(["rm", "-f", &name]).ok();
    assert_eq!(words.lines().count(), 2, "{words}");
    assert!(words.contains("NET_ADMIN"), "{words}");
    let privileged = home.bulkhead(["plan", "--privileged", DEBIAN]).ok();
    assert!(privileged.contains("SYS_ADMIN"), "{privileged}");
}

#[test]
fn s34_all_eight_namespaces_are_new() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    let pid = pid(home, &container);
    for name in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"] {
        let inside = std::fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("a namespace");
        let outside = std::fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace");
        assert_ne!(inside, outside, "{name}");
    }
    let shared_pid = Container::start(home, &["--pid", "host", DEBIAN, "sleep", "1000"]);
    let inside = std::fs::read_link(format!("/proc/{}/ns/pid", self::pid(home, &shared_pid))).expect("a namespace");
    assert_eq!(inside, std::fs::read_link("/proc/self/ns/pid").expect("a namespace"), "the positive control");
}

#[test]
fn s35_a_range_belongs_to_one_container_and_stays_with_it() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let first = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    let second = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    let map = |container: &Container<'_>| home.bulkhead(["exec", &container.name, "cat", "/proc/self/uid_map"]).ok();
    let (one, other) = (map(&first), map(&second));
    assert_ne!(one, other);
    let count = one.split_whitespace().nth(2).map(str::to_owned);
    assert_eq!(count.as_deref(), Some("65536"), "{one}");
    home.bulkhead(["exec", &first.name, "sh", "-c", "echo kept >/root/file"]).ok();
    home.bulkhead(["restart", "-t", "0", &first.name]).ok();
    assert_eq!(map(&first), one, "another range after a restart");
    assert_eq!(home.bulkhead(["exec", &first.name, "cat", "/root/file"]).ok(), "kept");
}

#[test]
fn s36_limits_are_in_force_and_the_text_names_the_one_that_was_hit() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let name = unique("memory");
    let eat = "x=a; while :; do x=$x$x; done";
    home.bulkhead(["run", "--name", &name, "--memory", "32m", DEBIAN, "sh", "-c", eat]).fails(137).says("--memory");
    assert_eq!(home.inspect(&name, "{{.State.OOMKilled}}"), "true");
    home.bulkhead(["rm", &name]).ok();
    let forks = "for i in $(seq 100); do sleep 5 & done; echo no limit";
    let run = home.bulkhead(["run", "--rm", "--pids-limit", "20", DEBIAN, "sh", "-c", forks]);
    assert!(!run.stdout.contains("no limit") && run.stderr.contains("--pids-limit"), "{run:?}");
    let files = home.bulkhead(["run", "--rm", "--ulimit", "nofile=64:64", DEBIAN, "sh", "-c", "ulimit -n"]).ok();
    assert_eq!(files, "64");
    let shm = "dd if=/dev/zero of=/dev/shm/x bs=1M count=100 2>&1 | grep -o 'No space left'";
    assert_eq!(home.bulkhead(["run", "--rm", DEBIAN, "sh", "-c", shm]).ok(), "No space left");
}

/// A home on a file system of this kind, in a loop-mounted file.
fn on_file_system(kind: &str, make: &[&str]) {
    let outer = tempfile::tempdir().expect("a folder");
    let disk = outer.path().join("disk");
    let file = std::fs::File::create(&disk).expect("a file");
    file.set_len(600 << 20).expect("a size");
    assert!(Command::new(make[0]).args(&make[1..]).arg(&disk).output().expect(make[0]).status.success());
    let folder = outer.path().join("mnt");
    std::fs::create_dir(&folder).expect("a folder");
    let mount = Command::new("mount").args(["-o", "loop", "-t", kind]).arg(&disk).arg(&folder).status();
    assert!(mount.expect("mount").success(), "{kind} cannot be mounted");
    let archive = outer.path().join("debian.tar").display().to_string();
    shared().bulkhead(["save", "-o", &archive, DEBIAN]).ok();
    let run = |words: &[&str]| {
        let mut command = Command::new(bulkhead_tests::program());
        command.arg("--root").arg(folder.join("root")).arg("--run-root").arg(folder.join("run")).args(words);
        command.output().expect("the program starts")
    };
    let load = run(&["load", "-q", "-i", &archive]);
    let text = "echo new >/etc/hostname.new && chown 5:5 /etc/passwd && rm /etc/group && stat -c %u /etc/passwd";
    let used = run(&["run", "--rm", DEBIAN, "sh", "-c", text]);
    let reset = run(&["system", "reset", "--force"]);
    let unmounted = Command::new("umount").arg(&folder).status().expect("umount").success();
    assert!(load.status.success(), "{kind}: {}", String::from_utf8_lossy(&load.stderr));
    assert_eq!(String::from_utf8_lossy(&used.stdout), "5\n", "{kind}: {}", String::from_utf8_lossy(&used.stderr));
    assert!(reset.status.success() && unmounted, "{kind}: something is left");
}

#[test]
fn s37_overlays_of_mapped_layers_work_on_ext4_xfs_and_btrfs() {
    if !root_is_here() {
        return;
    }
    on_file_system("ext4", &["mkfs.ext4", "-q", "-F"]);
    on_file_system("xfs", &["mkfs.xfs", "-q", "-f"]);
    on_file_system("btrfs", &["mkfs.btrfs", "-q", "-f"]);
}

#[test]
fn s56_one_process_and_nothing_that_listens() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    assert_eq!(home.bulkhead(["top", &container.name]).ok().lines().count(), 2, "a title and one process");
    let pid = pid(home, &container);
    for table in ["tcp", "tcp6", "udp", "udp6", "raw"] {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        assert!(text.lines().count() <= 1, "{table}: {text}");
    }
}

#[test]
fn s57_an_image_of_one_static_binary_runs_at_the_strictest_level() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let binary = bulkhead_tests::program().display().to_string();
    home.bulkhead(["image", "from-binary", &binary, "test/one-binary:1"]).ok();
    let run = home.bulkhead(["run", "--rm", "--isolation", "hardened", "test/one-binary:1", "--version"]);
    assert!(run.ok().contains("Bulkhead"), "{run:?}");
    let user = home.inspect("test/one-binary:1", "{{.Config.User}}");
    assert!(!user.is_empty() && user != "0" && user != "root", "{user}");
}

#[test]
fn s60_zero_flags_are_the_safe_case() {
    if !root_is_here() {
        return;
    }
    let text = "grep -E '^(CapEff|CapBnd|CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status; cat /proc/self/uid_map";
    let said = shared().bulkhead(["run", "--rm", DEBIAN, "sh", "-c", text]).ok();
    let value = |key: &str| {
        let line = said.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_whitespace().nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(value("CapEff:"), "00000000000004fb", "eight capabilities");
    assert_eq!(value("CapBnd:"), "00000000000004fb");
    assert_eq!(value("CapInh:"), "0000000000000000");
    assert_eq!(value("CapAmb:"), "0000000000000000");
    assert_eq!((value("NoNewPrivs:"), value("Seccomp:")), ("1".to_owned(), "2".to_owned()));
}

#[test]
fn s74_a_commit_is_a_snapshot_to_go_back_to() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    home.bulkhead(["exec", &container.name, "sh", "-c", "echo safe >/state; rm /etc/motd; ln -s /state /link"]).ok();
    let image = format!("test/snapshot:{}", unique("s"));
    home.bulkhead(["commit", &container.name, &image]).ok();
    home.bulkhead(["exec", &container.name, "sh", "-c", "echo spoilt >/state"]).ok();
    let back = home.bulkhead(["run", "--rm", &image, "sh", "-c", "cat /link; test -e /etc/motd || echo gone"]).ok();
    assert_eq!(back, "safe\ngone");
    home.bulkhead(["rmi", &image]).ok();
    home.bulkhead(["inspect", "--type", "image", &image]).fails(1);
}

/// Opens what it can of every process that appears in the container beside it.
const SPY: &str = r#"$| = 1; print "ready\n"; while (1) { opendir D, "/proc"; for (readdir D) {
    next unless /^\d+$/ && $_ != 1;
    print "seen\n" unless $seen++;
    for my $file ("mem", "exe") { if (open F, "<", "/proc/$_/$file") { print "reached $file\n"; exit } }
    if (open F, "<", "/proc/$_/maps" and <F>) { print "reached maps\n"; exit }
    if (opendir E, "/proc/$_/fd") { print "reached fd\n"; exit }
} }"#;

#[test]
fn a_container_cannot_reach_into_the_process_that_copies() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    // Control: a process of the container itself is reached.
    let own = home.bulkhead(["run", "--rm", DEBIAN, "sh", "-c", "sleep 60 & exec perl -e \"$0\"", SPY]);
    assert!(own.ok().contains("reached"), "{own:?}");
    let spy = Container::start(home, &["--cap-add", "SYS_PTRACE", DEBIAN, "perl", "-e", SPY]);
    let target = tempfile::tempdir().expect("a folder");
    for round in 0.. {
        let folder = target.path().join(round.to_string()).display().to_string();
        home.bulkhead(["cp", "-q", &format!("{}:/usr/share", spy.name), &folder]).ok();
        let said = home.bulkhead(["logs", &spy.name]).ok();
        assert!(!said.contains("reached"), "{said}");
        if said.contains("seen") {
            break;
        }
        assert!(round < 20, "the spy never saw the copying process");
    }
}
