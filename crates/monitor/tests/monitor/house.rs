//! An engine's part: hands over, asks, waits.

use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bulkhead_plan::control::{Exec, Exited, Packet, Reply, Request, RestartPolicy, RunState, Streams};
use bulkhead_plan::handover::{Answer, AttachedHandle, HandOver, Handles, LogDriver, LogPolicy, NotStarted, Started};
use bulkhead_plan::{IsolationPlan, Mount, MountFlags, MountSource, Process, Wishes};
use bulkhead_sys::mount::{self, Filesystem, MountAttrFlags};
use bulkhead_sys::socket::Channel;
use bulkhead_types::{ContainerId, IdRange};
use rustix::fs::{CWD, Mode, OFlags};

/// Host ids of the tests: at the end of root's own area, beside those of the cell's tests.
pub const BASE: u32 = 0x7fff_0000 - 2 * 65_536;

const DIR_PREFIX: &str = "bulkhead-test-monitor-";

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Polls until it is so.
pub fn eventually(mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// What a case could leave behind: mounts, our cgroups, monitors.
pub fn traces() -> (usize, Vec<String>, usize) {
    // Others on this machine mount things as well: only what carries our name counts.
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounts = table.lines().filter(|line| line.contains(DIR_PREFIX)).count();
    let mut groups = Vec::new();
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let Ok(entries) = std::fs::read_dir(hierarchy.path().join(parent_group().trim_start_matches('/'))) else {
            continue;
        };
        groups.extend(entries.flatten().filter(|e| e.path().is_dir()).map(|e| e.path().display().to_string()));
    }
    let own = std::process::id().to_string();
    let children = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|stat| {
            let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            !rest.starts_with('Z') && rest.split(' ').nth(1) == Some(own.as_str())
        })
        .count();
    (mounts, groups, children)
}

/// The monitor under test; another one (a release build, to measure it) by `BULKHEAD_MONITOR`.
fn program() -> PathBuf {
    std::env::var_os("BULKHEAD_MONITOR").map_or_else(|| env!("CARGO_BIN_EXE_bulkhead-monitor").into(), PathBuf::from)
}

fn parent_group() -> String {
    format!("/bulkhead-test-monitor-{}", std::process::id())
}

fn root() -> OwnedFd {
    let tmpfs = Filesystem::open("tmpfs").unwrap();
    let id = BASE.to_string();
    tmpfs.string("uid", &id).unwrap().string("gid", &id).unwrap().string("mode", "755").unwrap().create().unwrap();
    let root = tmpfs.mount(MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV).unwrap();
    for name in ["bin", "lib", "lib64", "sbin"] {
        rustix::fs::symlinkat(format!("usr/{name}"), &root, name).unwrap();
    }
    for (name, mode) in
        [("usr", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("dev", 0o755), ("proc", 0o755), ("sys", 0o755)]
    {
        rustix::fs::mkdirat(&root, name, Mode::from_raw_mode(mode)).unwrap();
        let flags = rustix::fs::AtFlags::empty();
        rustix::fs::chmodat(&root, name, Mode::from_raw_mode(mode), flags).unwrap();
        let (user, group) = (rustix::fs::Uid::from_raw(BASE), rustix::fs::Gid::from_raw(BASE));
        rustix::fs::chownat(&root, name, Some(user), Some(group), flags).unwrap();
    }
    for (name, text) in [("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("etc/group", "root:x:0:\n")] {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&root, name, flags, Mode::from_raw_mode(0o644)).unwrap();
        rustix::io::write(&file, text.as_bytes()).unwrap();
    }
    root
}

/// A shell that runs a script.
pub fn shell(script: &str) -> Process {
    Process {
        args: ["sh", "-c", script].map(String::from).to_vec(),
        env: vec!["PATH=/usr/bin:/bin".into()],
        cwd: "/".into(),
        ..Process::default()
    }
}

pub fn exec(script: &str) -> Exec {
    Exec { process: shell(script), capabilities: None, own_program: false }
}

/// Everything of a container that a case may want to change before it starts.
pub struct Draft {
    pub message: HandOver,
    pub dir: tempfile::TempDir,
    pub attach: Option<Streams>,
}

pub const ALL_STREAMS: Streams = Streams { stdin: true, stdout: true, stderr: true };

/// A container that runs a script.
pub fn draft(script: &str) -> Draft {
    draft_of(Wishes { process: shell(script), ..Wishes::default() })
}

pub fn draft_of(wishes: Wishes) -> Draft {
    let usr = Mount {
        target: "/usr".into(),
        source: MountSource::Handle { index: 5, label: "/usr".into(), file: false },
        flags: MountFlags { read_only: true, ..MountFlags::DATA },
    };
    let wishes = Wishes {
        ids: IdRange { base: BASE, count: 65_536 }.container_map(),
        hostname: "inside".into(),
        mounts: vec![usr],
        ..wishes
    };
    let container = ContainerId::from_random(bulkhead_sys::random::bytes32().unwrap());
    let dir = tempfile::Builder::new().prefix(DIR_PREFIX).tempdir().unwrap();
    for name in ["run", "data"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    // The engine's stand-in is a shell that notes what it is asked for.
    let note = format!("echo \"$@\" >> {}/asked", dir.path().display());
    let message = HandOver {
        name: "test".into(),
        attributes: [("image".to_owned(), "none".to_owned()), ("name".to_owned(), "test".to_owned())].into(),
        plan: IsolationPlan::sealed(wishes).unwrap(),
        handles: Handles { root: 0, run_dir: 1, data_dir: 2, engine: 3, events: 4, attached: None, count: 6 },
        logs: LogPolicy { driver: LogDriver::JsonFile, max_size: 10 << 20, max_files: 3 },
        health: None,
        restart: RestartPolicy::No,
        restarts: 0,
        stdin_open: false,
        stdin_once: false,
        remove: false,
        stop_signal: 15,
        stop_timeout: 10,
        engine_args: vec!["-c".into(), note, "engine".into()],
        cgroup: Some(format!("{}/{}", parent_group(), container.short())),
        container,
    };
    Draft { message, dir, attach: None }
}

/// A started container.
pub struct Container {
    pub dir: tempfile::TempDir,
    pub cgroup: String,
    pub started: Started,
    pub monitor: OwnedFd,
    pub attached: Option<Channel>,
}

impl Draft {
    pub fn attach(mut self) -> Self {
        self.attach = Some(ALL_STREAMS);
        self
    }

    pub fn start(self) -> Container {
        self.try_start().unwrap()
    }

    pub fn try_start(self) -> Result<Container, NotStarted> {
        let Self { mut message, dir, attach } = self;
        let open = |path: &Path, flags: OFlags| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::RWXU).unwrap();
        let mut fds = vec![
            root(),
            open(&dir.path().join("run"), OFlags::PATH | OFlags::DIRECTORY),
            open(&dir.path().join("data"), OFlags::PATH | OFlags::DIRECTORY),
            open(Path::new("/bin/sh"), OFlags::PATH),
            open(&dir.path().join("events"), OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND),
            mount::clone_tree(CWD, "/usr", false).unwrap(),
        ];
        let attached = attach.map(|streams| {
            let (ours, theirs) = Channel::pair().unwrap();
            message.handles.attached = Some(AttachedHandle { socket: 6, streams });
            message.handles.count = 7;
            fds.push(theirs.into());
            ours
        });
        let memory = rustix::fs::memfd_create("handover", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut memory = std::fs::File::from(memory);
        memory.write_all(&serde_json::to_vec(&message).unwrap()).unwrap();
        let (ours, theirs) = Channel::pair().unwrap();
        let program = open(&program(), OFlags::PATH);
        let (monitor, _) =
            bulkhead_sys::spawn::program(program.as_fd(), &["bulkhead-monitor"], &[], &[(3, theirs.as_fd())]).unwrap();
        drop(theirs);
        let list: Vec<BorrowedFd<'_>> =
            std::iter::once(memory.as_fd()).chain(fds.iter().map(|fd| fd.as_fd())).collect();
        ours.send(b"handover", &list).unwrap();
        drop(list);
        drop(fds);
        let (packet, _) = ours.receive(1 << 20).unwrap().expect("the monitor died");
        match serde_json::from_slice(&packet).unwrap() {
            Answer::Started(started) => {
                let cgroup = message.cgroup.unwrap_or_default();
                Ok(Container { dir, cgroup, started, monitor, attached })
            }
            Answer::NotStarted(not) => {
                bulkhead_sys::process::wait(monitor.as_fd()).unwrap();
                Err(not)
            }
        }
    }
}

impl Container {
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn connect(&self) -> Channel {
        let dir = std::fs::File::open(self.path("run")).unwrap();
        Channel::connect(dir.as_fd(), "control.sock").unwrap()
    }

    /// Sends a request; the connection.
    pub fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Channel {
        let channel = self.connect();
        channel.send(&serde_json::to_vec(request).unwrap(), fds).unwrap();
        channel
    }

    pub fn ask(&self, request: &Request) -> Reply {
        reply(&self.send(request, &[])).0
    }

    pub fn state(&self) -> RunState {
        match self.ask(&Request::State) {
            Reply::State(state) => state,
            other => panic!("{other:?}"),
        }
    }

    pub fn stop(&self, timeout: i64) -> Exited {
        match self.ask(&Request::Stop { signal: None, timeout: Some(timeout), restart: false }) {
            Reply::Exited(exited) => exited,
            other => panic!("{other:?}"),
        }
    }

    /// Waits for the monitor's own end; the record.
    pub fn end(&self) -> Exited {
        bulkhead_sys::process::wait(self.monitor.as_fd()).unwrap();
        self.record()
    }

    pub fn record(&self) -> Exited {
        serde_json::from_slice(&std::fs::read(self.path("data/exit.json")).unwrap()).unwrap()
    }

    /// Texts of the log by stream.
    pub fn log(&self, stream: &str) -> String {
        let mut text = String::new();
        for name in ["json.log.2", "json.log.1", "json.log"] {
            let Ok(file) = std::fs::read_to_string(self.path("data/log").join(name)) else { continue };
            for line in file.lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                if line["stream"] == stream {
                    text.push_str(line["log"].as_str().unwrap());
                }
            }
        }
        text
    }

    /// Actions in the event log.
    pub fn events(&self) -> Vec<String> {
        self.event_lines().iter().map(|line| line["Action"].as_str().unwrap().to_owned()).collect()
    }

    pub fn event_lines(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.path("events")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What the engine's stand-in was asked for, once it was.
    pub fn asked(&self) -> String {
        let path = self.path("asked");
        assert!(
            eventually(|| std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n'))),
            "nobody was asked"
        );
        std::fs::read_to_string(path).unwrap().trim_end().to_owned()
    }

    pub fn is_locked(&self) -> bool {
        let dir = std::fs::File::open(self.path("run")).unwrap();
        bulkhead_sys::lock::Lock::try_exclusive(dir.as_fd(), "lock").unwrap().is_none()
    }

    /// Runs a script inside; output and status.
    pub fn exec(&self, script: &str) -> (String, bulkhead_types::ExitStatus) {
        use std::io::Read as _;
        let (mut reader, writer) = std::io::pipe().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let channel =
            self.send(&Request::Exec(Box::new(exec(script))), &[null.as_fd(), writer.as_fd(), writer.as_fd()]);
        drop(writer);
        let first = reply(&channel).0;
        assert!(matches!(first, Reply::ExecStarted { .. }), "{first:?}");
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        match reply(&channel).0 {
            Reply::ExecExited { status } => (text, status),
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // A case that failed half-way must not leave its container to the next.
        drop(bulkhead_sys::process::signal(self.monitor.as_fd(), 9));
        drop(bulkhead_sys::process::wait(self.monitor.as_fd()));
        let repaired =
            std::process::Command::new(program()).args(["--repair", &self.cgroup, &parent_group()]).status().unwrap();
        assert!(repaired.success());
    }
}

pub fn reply(channel: &Channel) -> (Reply, Vec<OwnedFd>) {
    let (packet, fds) = channel.receive(1 << 20).unwrap().expect("a reply");
    (serde_json::from_slice(&packet).unwrap(), fds)
}

/// Everything that an attachment gets until the end.
#[derive(Debug, Default)]
pub struct Collected {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub exited: Option<Exited>,
}

pub fn collect(channel: &Channel) -> Collected {
    let mut all = Collected::default();
    while let Some((packet, _)) = channel.receive(1 << 17).unwrap() {
        take(&mut all, &packet);
    }
    all
}

/// Until standard output holds this text.
pub fn collect_until(channel: &Channel, all: &mut Collected, text: &str) {
    while !String::from_utf8_lossy(&all.stdout).contains(text) {
        let (packet, _) = channel.receive(1 << 17).unwrap().expect("more output");
        take(all, &packet);
    }
}

fn take(all: &mut Collected, packet: &[u8]) {
    assert!(all.exited.is_none(), "the exit is the last packet");
    let (kind, payload) = packet.split_first().unwrap();
    match Packet::from_byte(*kind).unwrap() {
        Packet::Stdout => all.stdout.extend_from_slice(payload),
        Packet::Stderr => all.stderr.extend_from_slice(payload),
        Packet::Exited => all.exited = Some(serde_json::from_slice(payload).unwrap()),
        other => panic!("{other:?}"),
    }
}

pub fn packet(channel: &Channel, kind: Packet, payload: &[u8]) {
    channel.send_parts(&[&[kind as u8], payload], &[]).unwrap();
}
