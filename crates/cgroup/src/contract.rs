//! What every version must do, run on each that this machine has.

use std::process::{Child, Command, Stdio};

use super::*;

/// The layouts that can be tried here: what the host has, and each version alone.
fn layouts() -> Vec<(&'static str, Layout)> {
    let host = Layout::discover().unwrap();
    let mut list = vec![("host", host.clone())];
    if !host.v1.is_empty()
        && let Some(v2) = host.v2
    {
        list.push(("v2", Layout { v1: Vec::new(), v2: Some(v2) }));
    }
    list
}

#[allow(clippy::print_stderr)]
fn skip() -> bool {
    if rustix::process::geteuid().is_root() {
        return false;
    }
    assert!(!std::env::var("BULKHEAD_MUST_RUN").is_ok_and(|list| list.contains("root")), "root was promised");
    eprintln!("skipped: needs root");
    true
}

/// A parent directory of this test's own, removed in every hierarchy at the end.
struct Parent(String);

impl Parent {
    fn new(name: &str) -> Self {
        Self(format!("/bulkhead-test-{name}-{}", std::process::id()))
    }
    fn child(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        if let Ok(group) = Cgroup::open(&self.0) {
            group.kill().unwrap();
            group.remove().unwrap();
        }
    }
}

/// A shell that has entered the group by itself before it runs `script`.
fn inside(group: &Cgroup, script: &str) -> Child {
    let child = Command::new("sh")
        .arg("-c")
        .arg(format!("read go; {script}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    group.take_over(&[child.id()]);
    child
}

fn go(child: &mut Child) {
    use std::io::Write as _;
    child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
}

fn null() -> DeviceRule {
    DeviceRule { kind: 'c', major: Some(1), minor: Some(3), access: "rwm".to_owned() }
}

#[test]
fn a_group_is_made_used_frozen_killed_and_removed() {
    if skip() {
        return;
    }
    for (name, layout) in layouts() {
        let parent = Parent::new(&format!("life-{name}"));
        let path = parent.child("one");
        let group = Cgroup::create_in(&layout, &path, &Limits::default(), &[null()]).unwrap();
        let mut child = inside(&group, "sleep 1000 & sleep 1000");
        go(&mut child);
        while group.processes().unwrap().len() < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(group.processes().unwrap().contains(&child.id()));
        group.freeze(true).unwrap();
        assert!(group.is_frozen(true).unwrap());
        group.freeze(false).unwrap();
        group.freeze(true).unwrap();
        // Killing must work on a frozen group.
        group.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(group.processes().unwrap().is_empty());
        group.remove().unwrap();
        assert_eq!(Cgroup::open(&path).unwrap_err().class, ErrorClass::NotFound);
    }
}

#[test]
fn only_listed_devices_open() {
    if skip() {
        return;
    }
    for (name, layout) in layouts() {
        let parent = Parent::new(&format!("devices-{name}"));
        let group = Cgroup::create_in(&layout, &parent.child("one"), &Limits::default(), &[null()]).unwrap();
        let mut child = inside(&group, "echo x > /dev/null && ! head -c1 /dev/zero && exit 7");
        go(&mut child);
        assert_eq!(child.wait().unwrap().code(), Some(7), "{name}");
        group.remove().unwrap();
    }
}

#[test]
fn a_stale_empty_group_is_replaced_and_a_busy_one_refused() {
    if skip() {
        return;
    }
    for (name, layout) in layouts() {
        let parent = Parent::new(&format!("stale-{name}"));
        let path = parent.child("one");
        let make = || Cgroup::create_in(&layout, &path, &Limits::default(), &[]);
        drop(make().unwrap());
        let group = make().unwrap();
        let mut child = inside(&group, "true");
        assert_eq!(make().unwrap_err().class, ErrorClass::Conflict);
        group.kill().unwrap();
        child.wait().unwrap();
        assert!(Cgroup::open(&path).is_ok());
        group.remove().unwrap();
    }
}

#[test]
fn limits_are_in_force_and_can_be_changed() {
    if skip() {
        return;
    }
    let parent = Parent::new("limits");
    let path = parent.child("one");
    let limits = Limits {
        memory: Some(64 << 20),
        swap: Some(0),
        memory_reservation: Some(32 << 20),
        pids: Some(7),
        cpu_quota: Some(50_000),
        cpu_period: Some(100_000),
        cpu_shares: Some(512),
        ..Limits::default()
    };
    let group = match Cgroup::create(&path, &limits, &[null()]) {
        Ok(group) => group,
        // A host whose controllers are somebody else's.
        Err(error) => {
            assert_eq!(error.class, ErrorClass::Unsupported, "{error}");
            return;
        }
    };
    let counters = group.counters().unwrap();
    assert_eq!((counters.memory_limit, counters.pids_limit), (64 << 20, 7));
    group.update(&Limits { memory: Some(128 << 20), swap: Some(0), ..Limits::default() }).unwrap();
    group.update(&Limits { pids: Some(9), cpu_quota: Some(20_000), ..Limits::default() }).unwrap();
    group.update(&Limits { memory: Some(32 << 20), ..Limits::default() }).unwrap();
    let counters = group.counters().unwrap();
    assert_eq!((counters.memory_limit, counters.pids_limit), (32 << 20, 9));
    group
        .update(&Limits { memory: Some(u64::MAX), swap: Some(u64::MAX), pids: Some(u64::MAX), ..Limits::default() })
        .unwrap();
    let counters = group.counters().unwrap();
    assert_eq!((counters.memory_limit, counters.pids_limit), (u64::MAX, u64::MAX));
    let mut child = inside(&group, "sleep 1000");
    group.update(&Limits { cpuset_cpus: Some("0".to_owned()), ..Limits::default() }).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    group.kill().unwrap();
    child.wait().unwrap();
    group.remove().unwrap();
    assert!(Cgroup::open(&path).is_err(), "the late processor set is gone as well");
}

#[test]
fn memory_and_process_limits_are_counted_when_hit() {
    if skip() {
        return;
    }
    let parent = Parent::new("hits");
    let limits = Limits { memory: Some(8 << 20), swap: Some(0), pids: Some(3), ..Limits::default() };
    let Ok(group) = Cgroup::create(&parent.child("one"), &limits, &[null()]) else { return };
    let notice = group.oom_notice().unwrap().unwrap();
    let mut child = inside(&group, "sleep 0.01 & sleep 0.01 & sleep 0.01 & wait");
    go(&mut child);
    child.wait().unwrap();
    assert!(group.counters().unwrap().pids_refused > 0);
    let mut child = inside(&group, "exec awk 'BEGIN { s = \"x\"; while (1) s = s s }'");
    go(&mut child);
    assert!(!child.wait().unwrap().success());
    assert!(group.counters().unwrap().oom_kills > 0);
    if !notice.v2 {
        let mut count = [0u8; 8];
        assert_eq!(rustix::io::read(&notice.fd, &mut count).unwrap(), 8);
    }
    group.kill().unwrap();
    group.remove().unwrap();
}

#[test]
fn a_failed_creation_leaves_nothing() {
    if skip() {
        return;
    }
    for (name, layout) in layouts() {
        let parent = Parent::new(&format!("fail-{name}"));
        let path = parent.child("one");
        let bad = DeviceRule { kind: 'x', ..null() };
        let error = Cgroup::create_in(&layout, &path, &Limits::default(), &[bad]).unwrap_err();
        assert_eq!(error.class, ErrorClass::Invalid);
        assert!(Cgroup::open(&path).is_err());
    }
    let nothing = Cgroup::create_in(&Layout::default(), "/x", &Limits::default(), &[]).unwrap_err();
    assert_eq!(nothing.class, ErrorClass::Unsupported);
}

#[test]
fn a_limit_without_its_controller_is_an_error_with_the_cure() {
    if skip() {
        return;
    }
    let mut layout = Layout::discover().unwrap();
    layout.v1.retain(|v1| v1.controllers.has(Controller::Devices));
    if layout.v1.is_empty() {
        return;
    }
    let parent = Parent::new("missing");
    let limits = Limits { memory: Some(1 << 30), ..Limits::default() };
    let error = Cgroup::create_in(&layout, &parent.child("one"), &limits, &[]).unwrap_err();
    assert_eq!(error.class, ErrorClass::Unsupported);
    assert!(error.message.contains("--memory"), "{error}");
}

#[test]
fn groups_below_are_counted_killed_and_removed() {
    if skip() {
        return;
    }
    let parent = Parent::new("below");
    let outer = Cgroup::create(&parent.child("one"), &Limits::default(), &[null()]).unwrap();
    let inner = Cgroup::create(&parent.child("one/two"), &Limits::default(), &[null()]).unwrap();
    let mut child = inside(&inner, "true");
    assert_eq!(outer.processes().unwrap(), [child.id()]);
    outer.kill().unwrap();
    child.wait().unwrap();
    outer.remove().unwrap();
    assert!(Cgroup::open(&parent.child("one/two")).is_err());
}

#[test]
fn paths_are_checked() {
    for bad in ["", "a", "/", "/a//b", "/../x", "/a/.", "/a/"] {
        assert_eq!(check_path(bad).unwrap_err().class, ErrorClass::Invalid, "{bad}");
    }
    assert!(check_path("/bulkhead/x").is_ok());
}
