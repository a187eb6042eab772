use bulkhead_types::IdRange;
use proptest::prelude::*;

use super::*;
use crate::capability::Capability;
use crate::model::{MountFlags, MountSource, Rlimit};
use crate::seccomp;

fn plain() -> Wishes {
    Wishes {
        ids: IdRange { base: 0x7000_0000, count: 65_536 }.container_map(),
        hostname: "box".to_owned(),
        process: Process { args: vec!["true".to_owned()], cwd: "/".to_owned(), ..Process::default() },
        host: HostFacts { memory: 8 << 30, open_files: 524_288, processors: 2 },
        host_mounts: HostMounts { sysfs: Some(1), proc: Some(2), mqueue: Some(3), cgroup: Some(4) },
        ..Wishes::default()
    }
}

fn sealed(change: impl FnOnce(&mut Wishes)) -> Result<IsolationPlan, PlanError> {
    let mut wishes = plain();
    change(&mut wishes);
    IsolationPlan::sealed(wishes)
}

fn refusal(change: impl FnOnce(&mut Wishes)) -> String {
    sealed(change).unwrap_err().message
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn bind(target: &str) -> Mount {
    let source = MountSource::Handle { index: 9, label: "/srv".to_owned(), file: false };
    Mount { target: target.to_owned(), source, flags: MountFlags::DATA }
}

#[test]
fn no_wish_no_concession() {
    for level in [Level::Standard, Level::Hardened] {
        let plan = sealed(|wishes| wishes.level = level).unwrap();
        assert_eq!(plan.concessions, []);
        assert_eq!(plan.namespaces, Namespaces::ALL);
        assert!(plan.no_new_privs && seccomp::filter_for(&plan).is_some());
        assert_eq!(plan.limits.memory, Some(4 << 30));
        assert_eq!((plan.limits.swap, plan.limits.pids, plan.limits.oom_group), (Some(0), Some(4096), true));
        let rlimit = |name: &str| plan.process.rlimits.iter().find(|r| r.name == name).unwrap().hard;
        assert_eq!((rlimit("core"), rlimit("nofile")), (Some(0), Some(524_288)));
        assert_eq!(plan.devices.len(), 6);
        assert_eq!(plan.read_only_paths, ["/proc/sys"]);
        for path in ["/proc/sysrq-trigger", "/proc/kcore", "/sys/firmware", "/proc/keys"] {
            assert!(plan.masked_paths.iter().any(|masked| masked == path));
        }
        assert!(plan.masked_paths.iter().any(|path| path.ends_with("cpu1/thermal_throttle")));
        assert_eq!(plan.sysctls["net.ipv4.ping_group_range"], "0 65535");
        assert_eq!(plan.capabilities.len(), if level == Level::Standard { 8 } else { 0 });
        assert_eq!(plan.read_only_root, level == Level::Hardened);
        for mount in &plan.mounts {
            assert!(mount.flags.nosuid, "{}", mount.target);
        }
        let sys = plan.mounts.iter().find(|mount| mount.target == "/sys").unwrap();
        assert!(sys.flags.read_only && sys.source == MountSource::Sysfs);
    }
}

#[test]
fn a_plan_survives_its_json() {
    let plan = sealed(|wishes| wishes.privileged = true).unwrap();
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<IsolationPlan>(&json).unwrap(), plan);
}

#[test]
fn privileged_is_a_list_and_stays_inside() {
    let plan = sealed(|wishes| wishes.privileged = true).unwrap();
    assert_eq!(plan.capabilities.len(), Capability::ALL.len());
    assert!(plan.concessions.contains(&Concession::WritableKernelFiles));
    assert!(plan.concessions.contains(&Concession::UnmaskedPaths));
    assert_eq!(plan.concessions.len(), Capability::ALL.len() - 8 + 2);
    assert_eq!(plan.namespaces, Namespaces::ALL);
    assert!(plan.no_new_privs, "not asked for");
    assert!(seccomp::filter_for(&plan).is_some(), "opened by capabilities, but there");
    assert!(plan.masked_paths.is_empty() && plan.read_only_paths.is_empty());
    assert_eq!(plan.devices.len(), 6);
}

#[test]
fn capabilities_follow_dockers_words() {
    let chosen = |add: &[&str], drop: &[&str]| {
        sealed(|wishes| (wishes.cap_add, wishes.cap_drop) = (words(add), words(drop))).unwrap().capabilities
    };
    assert_eq!(chosen(&[], &["all"]), []);
    assert_eq!(chosen(&["net_raw"], &["ALL"]), [Capability::NetRaw]);
    assert_eq!(chosen(&["ALL"], &["CAP_SYS_ADMIN"]).len(), Capability::ALL.len() - 1);
    assert_eq!(chosen(&["cap_chown"], &[]).len(), 8);
    assert!(refusal(|w| w.cap_add = words(&["NOPE"])).contains("--cap-add NOPE"));
    assert!(refusal(|w| (w.cap_add, w.cap_drop) = (words(&["KILL"]), words(&["KILL"]))).contains("contradict"));
    let plan = sealed(|wishes| wishes.cap_add = words(&["SYS_PTRACE", "CHOWN"])).unwrap();
    assert_eq!(plan.concessions, [Concession::Capability(Capability::SysPtrace)]);
}

#[test]
fn security_options() {
    let plan = |options: &[&str]| sealed(|wishes| wishes.security_opts = words(options));
    assert_eq!(plan(&["no-new-privileges", "seccomp=builtin", "label=disable"]).unwrap().concessions, []);
    assert_eq!(plan(&["no-new-privileges:false"]).unwrap().concessions, [Concession::NewPrivileges]);
    assert_eq!(plan(&["seccomp=unconfined"]).unwrap().concessions, [Concession::NoSeccomp]);
    assert_eq!(plan(&["systempaths=unconfined"]).unwrap().concessions, [Concession::UnmaskedPaths]);
    for (bad, class) in [
        ("seccomp=/x.json", ErrorClass::Unsupported),
        ("apparmor=docker-default", ErrorClass::Unsupported),
        ("label=type:x", ErrorClass::Unsupported),
        ("no-new-privileges=maybe", ErrorClass::Invalid),
        ("seccomp", ErrorClass::Invalid),
        ("", ErrorClass::Invalid),
    ] {
        assert_eq!(plan(&[bad]).unwrap_err().class, class, "{bad}");
    }
    assert!(plan(&["no-new-privileges=true", "no-new-privileges=false"]).is_err());
    assert!(refusal(|w| (w.privileged, w.level) = (true, Level::Hardened)).contains("--isolation hardened"));
}

#[test]
fn host_namespaces_need_their_mounts_and_say_so() {
    let plan = sealed(|wishes| wishes.network = NetworkWish::Host).unwrap();
    assert_eq!(plan.concessions, [Concession::HostNetwork]);
    assert!(!plan.namespaces.network && plan.sysctls.is_empty());
    let sys = plan.mounts.iter().find(|mount| mount.target == "/sys").unwrap();
    assert!(sys.flags.read_only && matches!(sys.source, MountSource::Handle { index: 1, .. }));
    assert!(refusal(|w| (w.network, w.host_mounts.sysfs) = (NetworkWish::Host, None)).contains("/sys"));
    assert!(refusal(|w| (w.host_pid, w.init) = (true, true)).contains("--init"));
    assert_eq!(sealed(|w| w.host_pid = true).unwrap().concessions, [Concession::HostPid]);
    assert_eq!(sealed(|w| w.host_ipc = true).unwrap().concessions, [Concession::HostIpc]);
    assert_eq!(sealed(|w| w.host_uts = true).unwrap().concessions, [Concession::HostUts]);
    assert_eq!(sealed(|w| w.host_cgroup = true).unwrap().concessions, [Concession::HostCgroup]);
}

#[test]
fn limits_are_on_and_opting_out_is_named() {
    let off = |change: fn(&mut Limits)| {
        let plan = sealed(|wishes| change(&mut wishes.limits)).unwrap();
        plan.concessions.iter().map(Concession::title).collect::<Vec<_>>()
    };
    assert_eq!(off(|limits| limits.memory = Some(0)), ["no limit on memory", "no limit on swap"]);
    assert_eq!(off(|limits| limits.swap = Some(u64::MAX)), ["no limit on swap"]);
    assert_eq!(off(|limits| limits.pids = Some(u64::MAX)), ["no limit on pids"]);
    assert_eq!(off(|limits| limits.memory = Some(64 << 20)), [""; 0]);
    assert!(refusal(|w| w.limits.memory = Some(4096)).contains("6m"));
    assert!(refusal(|w| (w.limits.memory, w.limits.swap) = (Some(0), Some(1))).contains("--memory"));
    assert!(refusal(|w| w.limits.memory_reservation = Some(u64::MAX)).contains("--memory-reservation"));
    assert!(refusal(|w| w.limits.cpu_shares = Some(1)).contains("--cpu-shares"));
    assert!(refusal(|w| w.limits.cpuset_cpus = Some("0-1;".to_owned())).contains("--cpuset-cpus"));
    let rlimit = |name: &str, soft, hard| Rlimit { name: name.to_owned(), soft, hard };
    assert!(refusal(|w| w.process.rlimits = vec![rlimit("files", None, None)]).contains("nofile"));
    assert!(refusal(|w| w.process.rlimits = vec![rlimit("nofile", Some(2), Some(1))]).contains("above"));
    let plan = sealed(|w| w.process.rlimits = vec![rlimit("core", None, None)]).unwrap();
    assert_eq!(plan.concessions, [Concession::CoreDumps]);
}

#[test]
fn mounts_cannot_be_built_over_walls() {
    for bad in [
        "/",
        "//",
        "",
        "srv",
        "/proc",
        "/proc/self",
        "/sys/",
        "/sys/fs/cgroup",
        "/dev",
        "/dev/pts/1",
        "/a/../b",
        "/a\0",
    ] {
        assert!(sealed(|wishes| wishes.mounts = vec![bind(bad)]).is_err(), "{bad:?}");
    }
    for good in ["/srv", "/process", "/dev/shm", "/dev/log", "/system"] {
        assert_eq!(sealed(|wishes| wishes.mounts = vec![bind(good)]).unwrap().concessions, [], "{good}");
    }
    assert!(refusal(|w| w.mounts = vec![bind("/srv"), bind("/srv/")]).contains("two mounts"));
    let plan = sealed(|wishes| wishes.mounts = vec![bind("/dev/shm")]).unwrap();
    assert_eq!(plan.mounts.iter().filter(|mount| mount.target == "/dev/shm").count(), 1);
    let mut open = bind("/srv");
    open.flags = MountFlags::default();
    let plan = sealed(|wishes| wishes.mounts = vec![open]).unwrap();
    assert_eq!(plan.concessions.len(), 2);
}

#[test]
fn a_tmpfs_is_always_bounded() {
    let mut mount = bind("/scratch");
    mount.source = MountSource::Tmpfs { size: 0, inodes: 0, mode: 0o1777 };
    let plan = sealed(|wishes| wishes.mounts = vec![mount]).unwrap();
    for mount in &plan.mounts {
        if let MountSource::Tmpfs { size, inodes, .. } = mount.source {
            assert!(size > 0 && inodes > 0 && size <= 2 << 30, "{}", mount.target);
        }
    }
}

#[test]
fn sysctls_of_the_host_are_refused() {
    let one = |name: &str, value: &str| {
        let sysctls = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        sealed(|wishes| wishes.sysctls = sysctls)
    };
    assert_eq!(one("net.ipv4.ip_forward", "1").unwrap().concessions, []);
    assert_eq!(one("net.ipv4.ping_group_range", "1 0").unwrap().sysctls["net.ipv4.ping_group_range"], "1 0");
    assert!(one("kernel.shmmax", "1").is_ok() && one("fs.mqueue.msg_max", "100").is_ok());
    for bad in
        ["kernel.core_pattern", "vm.swappiness", "user.max_user_namespaces", "net", "net..x", "net/../x", "net.a/b"]
    {
        assert!(one(bad, "1").is_err(), "{bad}");
    }
    assert!(one("net.ipv4.ip_forward", "1\n2").is_err());
    let host = sealed(|wishes| {
        wishes.network = NetworkWish::Host;
        wishes.sysctls = BTreeMap::from([("net.ipv4.ip_forward".to_owned(), "1".to_owned())]);
    });
    assert!(host.unwrap_err().message.contains("--network host"));
}

#[test]
fn devices_are_named_concessions() {
    let device = |path: &str, access: &str| Device {
        path: path.to_owned(),
        kind: 'c',
        major: 10,
        minor: 229,
        mode: 0o660,
        access: access.to_owned(),
    };
    let plan = sealed(|wishes| wishes.devices = vec![device("/dev/fuse", "rwm")]).unwrap();
    assert_eq!(plan.concessions, [Concession::Device("/dev/fuse".to_owned())]);
    for (path, access) in [
        ("/dev/../etc/x", "r"),
        ("/etc/x", "r"),
        ("/dev/null", "r"),
        ("/dev/pts/0", "r"),
        ("/dev/x", ""),
        ("/dev/x", "q"),
    ] {
        assert!(sealed(|wishes| wishes.devices = vec![device(path, access)]).is_err(), "{path} {access}");
    }
}

#[test]
fn malformed_wishes_are_refused_with_the_cure() {
    assert!(refusal(|w| w.process.args.clear()).contains("--entrypoint"));
    assert!(refusal(|w| w.process.cwd = "x".to_owned()).contains("--workdir"));
    assert!(refusal(|w| w.process.env = words(&["=x"])).contains("--env"));
    assert!(refusal(|w| w.process.args = words(&["a\0b"])).contains("NUL"));
    assert!(refusal(|w| w.hostname = "a b".to_owned()).contains("--hostname"));
    assert!(refusal(|w| w.oom_score_adj = 2000).contains("--oom-score-adj"));
    assert!(refusal(|w| w.ids = IdMap::default()).contains("range"));
    assert!(refusal(|w| w.ids = IdRange { base: 0, count: 65_536 }.container_map()).contains("host"));
    assert_eq!(sealed(|w| w.oom_score_adj = -5).unwrap().concessions, [Concession::SparedFromOom(-5)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is asked for: what is open is conceded, and what is conceded was asked for.
    #[test]
    fn every_opening_is_conceded(
        bits in any::<u32>(),
        add in proptest::sample::subsequence(Capability::ALL.to_vec(), 0..5),
        drop in proptest::sample::subsequence(Capability::ALL.to_vec(), 0..5),
        hardened in any::<bool>(),
    ) {
        let bit = |at: u32| bits >> at & 1 == 1;
        let result = sealed(|wishes| {
            wishes.level = if hardened { Level::Hardened } else { Level::Standard };
            wishes.privileged = bit(0);
            wishes.network = if bit(1) { NetworkWish::Host } else { NetworkWish::Own };
            (wishes.host_pid, wishes.host_ipc, wishes.host_uts, wishes.host_cgroup) = (bit(2), bit(3), bit(4), bit(5));
            wishes.limits.memory = bit(6).then_some(0);
            wishes.limits.pids = bit(7).then_some(u64::MAX);
            wishes.cap_add = add.iter().map(|c| c.name().to_owned()).collect();
            wishes.cap_drop = drop.iter().map(|c| c.name().to_lowercase()).collect();
            for (at, option) in [(8, "seccomp=unconfined"), (9, "no-new-privileges=false"), (10, "systempaths=unconfined")] {
                if bit(at) { wishes.security_opts.push(option.to_owned()); }
            }
        });
        let Ok(plan) = result else { return Ok(()) };
        let has = |concession: Concession| plan.concessions.contains(&concession);
        let closed = sealed(|wishes| wishes.level = plan.level).unwrap();
        for capability in &plan.capabilities {
            prop_assert!(closed.capabilities.contains(capability) || has(Concession::Capability(*capability)));
        }
        prop_assert_eq!(seccomp::filter_for(&plan).is_none(), has(Concession::NoSeccomp));
        prop_assert_eq!(!plan.no_new_privs, has(Concession::NewPrivileges));
        prop_assert_eq!(plan.masked_paths.is_empty(), has(Concession::UnmaskedPaths));
        prop_assert_eq!(!plan.namespaces.network, has(Concession::HostNetwork));
        prop_assert_eq!(!plan.namespaces.pid, has(Concession::HostPid));
        prop_assert_eq!(!plan.namespaces.ipc, has(Concession::HostIpc));
        prop_assert_eq!(!plan.namespaces.uts, has(Concession::HostUts));
        prop_assert_eq!(!plan.namespaces.cgroup, has(Concession::HostCgroup));
        prop_assert_eq!(plan.limits.memory.is_none(), has(Concession::NoLimit("memory".to_owned())));
        prop_assert_eq!(plan.limits.pids.is_none(), has(Concession::NoLimit("pids".to_owned())));
        prop_assert!(plan.namespaces.user && plan.namespaces.mount);
        if bits & 0x7ff == 0 && add.is_empty() { prop_assert!(plan.concessions.is_empty()); }
    }
}
