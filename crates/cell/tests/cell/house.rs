//! A root to live in, a plan for it, and running one process to its end.

use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_cell::{Cell, Materials, StepFailed, Tenant, launch};
use bulkhead_plan::{IsolationPlan, Mount, MountFlags, MountSource, Process, Wishes};
use bulkhead_sys::mount::{self, Filesystem, MountAttrFlags};
use bulkhead_sys::process::{self, Ended};
use bulkhead_types::IdRange;
use rustix::fs::{CWD, Mode, OFlags};

/// First host id of the tests' range: inside root's own area, at its end; in a user namespace some id of it.
pub fn base() -> u32 {
    if nested() { 10_000 } else { 0x7fff_0000 - 65_536 }
}

/// True for root of a user namespace that is not the host's.
pub fn nested() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}

/// Ids of a cell; fewer where an ordinary user's subordinate ids have to do.
pub fn range() -> IdRange {
    IdRange { base: base(), count: if nested() { 2048 } else { 65_536 } }
}

pub const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34:www:/var/www:/bin/sh\n";
pub const GROUP: &str = "root:x:0:\nadm:x:4:www\nwww:x:34:\n";

/// What one run gave.
#[derive(Debug)]
pub struct Ran {
    pub output: String,
    pub ended: Ended,
}

/// A mount namespace of our own, so that what others on the machine mount meanwhile does not count.
pub fn live_apart() {
    const CLONE_NEWNS: u32 = 0x0002_0000;
    bulkhead_sys::raw::process::unshare(CLONE_NEWNS).unwrap();
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let change = mount::Change { propagation: Some(mount::MountPropagationFlags::PRIVATE), ..mount::Change::default() };
    mount::change(root.as_fd(), &change, true).unwrap();
}

/// A detached tmpfs with what a program needs; `/usr` comes as handle 0.
pub fn root() -> OwnedFd {
    let tmpfs = Filesystem::open("tmpfs").unwrap();
    let id = base().to_string();
    tmpfs.string("uid", &id).unwrap().string("gid", &id).unwrap().string("mode", "755").unwrap().create().unwrap();
    let root = tmpfs.mount(MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV).unwrap();
    for name in ["bin", "lib", "lib64", "sbin"] {
        rustix::fs::symlinkat(format!("usr/{name}"), &root, name).unwrap();
    }
    for (name, mode) in
        [("usr", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("dev", 0o755), ("proc", 0o755), ("sys", 0o755)]
    {
        rustix::fs::mkdirat(&root, name, Mode::from_raw_mode(mode)).unwrap();
        rustix::fs::chmodat(&root, name, Mode::from_raw_mode(mode), rustix::fs::AtFlags::empty()).unwrap();
        let (user, group) = (rustix::fs::Uid::from_raw(base()), rustix::fs::Gid::from_raw(base()));
        rustix::fs::chownat(&root, name, Some(user), Some(group), rustix::fs::AtFlags::empty()).unwrap();
    }
    write(&root, "etc/passwd", PASSWD, 0o644);
    write(&root, "etc/group", GROUP, 0o644);
    write(&root, "etc/not-a-program", "hello\n", 0o755);
    root
}

pub fn write(root: &OwnedFd, path: &str, text: &str, mode: u32) {
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(root, path, flags, Mode::from_raw_mode(mode)).unwrap();
    rustix::io::write(&file, text.as_bytes()).unwrap();
}

/// The host's `/usr`, read-only.
pub fn handles() -> Vec<Option<OwnedFd>> {
    vec![Some(mount::clone_tree(CWD, "/usr", false).unwrap())]
}

/// Wishes of a container that runs this shell script.
pub fn wishes(script: &str) -> Wishes {
    let usr = Mount {
        target: "/usr".into(),
        source: MountSource::Handle { index: 0, label: "/usr".into(), file: false },
        flags: MountFlags { read_only: true, ..MountFlags::DATA },
    };
    Wishes {
        ids: range().container_map(),
        hostname: "inside".into(),
        process: process_of(script),
        mounts: vec![usr],
        ..Wishes::default()
    }
}

pub fn process_of(script: &str) -> Process {
    Process {
        args: ["sh", "-c", script].map(String::from).to_vec(),
        env: vec!["PATH=/usr/bin:/bin".into()],
        cwd: "/".into(),
        ..Process::default()
    }
}

pub fn plan(wishes: Wishes) -> IsolationPlan {
    IsolationPlan::sealed(wishes).unwrap()
}

pub fn null() -> OwnedFd {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// Launches with output into a pipe.
pub fn start(plan: &IsolationPlan, cgroup: Option<&str>) -> Result<(Cell, Tenant, std::io::PipeReader), StepFailed> {
    start_on(plan, root(), cgroup)
}

pub fn start_on(
    plan: &IsolationPlan,
    root: OwnedFd,
    cgroup: Option<&str>,
) -> Result<(Cell, Tenant, std::io::PipeReader), StepFailed> {
    let (reader, writer) = std::io::pipe().unwrap();
    let (output, error) = (writer.try_clone().unwrap().into(), writer.into());
    let materials = Materials { plan, root, handles: handles(), cgroup, stdio: [null(), output, error] };
    launch(materials).map(|(cell, tenant)| (cell, tenant, reader))
}

/// Runs to the end.
pub fn run(plan: &IsolationPlan) -> Ran {
    let (cell, tenant, mut reader) = start(plan, None).unwrap();
    let mut output = String::new();
    reader.read_to_string(&mut output).unwrap();
    let ended = process::wait(tenant.pidfd.as_fd()).unwrap();
    cell.demolish().unwrap();
    Ran { output, ended }
}

/// Output of a script in a default container.
pub fn output(script: &str) -> String {
    let ran = run(&plan(wishes(script)));
    assert_eq!(ran.ended, Ended::Code(0), "{}", ran.output);
    ran.output.trim_end().to_owned()
}

/// What a launch could leave behind: mounts, children, descriptors of this process.
pub fn traces() -> (usize, usize, usize) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap().split_whitespace().count();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    (mounts, children, descriptors)
}
