//! What clients ask for.

use std::os::fd::AsFd as _;

use bulkhead_plan::control::{IN_MEMFD, Reply, Request, RestartPolicy};
use bulkhead_plan::{Limits, Process, TerminalSize};
use bulkhead_types::{ErrorClass, ExitStatus};

use crate::house::{self, draft, eventually, exec, reply, shell};

pub const ALL: &[(&str, fn())] = &[
    ("execs_run_side_by_side_and_tell_their_ends", execs),
    ("an_exec_takes_signals_and_outlives_its_client", exec_signals),
    ("an_exec_with_a_terminal", exec_terminal),
    ("a_container_that_stops_its_execs_can_still_be_stopped", stopped_execs),
    ("pause_stops_everything_and_stop_still_works", pause),
    ("counters_and_processes", counters),
    ("an_idle_monitor_is_small", idle_memory),
    ("limits_can_be_changed", update),
    ("the_root_is_the_containers", root),
    ("a_request_that_does_not_fit_travels_in_memory", large_request),
    ("nonsense_is_refused_and_harms_nobody", nonsense),
];

fn execs() {
    let container = draft("sleep 1000").start();
    std::thread::scope(|scope| {
        for code in 0..8u8 {
            let container = &container;
            scope.spawn(move || {
                let (text, status) = container.exec(&format!("sleep 0.05; echo out; hostname; exit {code}"));
                assert_eq!((text.as_str(), status), ("out\ninside\n", ExitStatus::Code(code)));
            });
        }
    });
    let channel = container.send(&Request::Exec(Box::new(exec("true"))), &[]);
    assert!(
        matches!(reply(&channel).0, Reply::Failed { class: ErrorClass::Invalid, .. }),
        "three descriptors are missing"
    );
    let mut missing = exec("");
    missing.process.args = vec!["/no/such".into()];
    let null = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
    let fds = [null.as_fd(), null.as_fd(), null.as_fd()];
    let channel = container.send(&Request::Exec(Box::new(missing)), &fds);
    let answer = reply(&channel).0;
    assert!(matches!(answer, Reply::Failed { exit_code: Some(127), .. }), "{answer:?}");
    container.stop(0);
    container.end();
    let events = container.events();
    assert_eq!(events.iter().filter(|action| *action == "exec_die").count(), 8, "{events:?}");
}

fn exec_signals() {
    let container = draft("sleep 1000").start();
    let null = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
    let fds = [null.as_fd(), null.as_fd(), null.as_fd()];
    let channel = container.send(&Request::Exec(Box::new(exec("sleep 1000"))), &fds);
    assert!(matches!(reply(&channel).0, Reply::ExecStarted { .. }));
    channel.send(&serde_json::to_vec(&Request::Signal { signal: 15 }).unwrap(), &[]).unwrap();
    assert_eq!(reply(&channel).0, Reply::ExecExited { status: ExitStatus::Signal(15) });

    let channel = container.send(&Request::Exec(Box::new(exec("sleep 0.1; touch /tmp/went-on"))), &fds);
    assert!(matches!(reply(&channel).0, Reply::ExecStarted { .. }));
    drop(channel);
    assert!(eventually(|| container.exec("test -e /tmp/went-on").1.success()));

    // The container's end is the end of its execs.
    let channel = container.send(&Request::Exec(Box::new(exec("sleep 1000"))), &fds);
    assert!(matches!(reply(&channel).0, Reply::ExecStarted { .. }));
    container.stop(0);
    assert_eq!(reply(&channel).0, Reply::ExecExited { status: ExitStatus::Signal(9) });
    container.end();
}

fn exec_terminal() {
    let container = draft("sleep 1000").start();
    let mut request = exec("");
    let size = TerminalSize { rows: 7, columns: 8 };
    request.process = Process { terminal: Some(size), ..shell("stty size; read x; echo got $x; exit 2") };
    let channel = container.send(&Request::Exec(Box::new(request)), &[]);
    let (first, mut fds) = reply(&channel);
    assert!(matches!(first, Reply::ExecStarted { .. }), "{first:?}");
    let terminal = fds.pop().expect("the terminal");
    rustix::io::write(&terminal, b"word\n").unwrap();
    let mut text = String::new();
    let mut buffer = [0u8; 512];
    while let Ok(count) = rustix::io::read(&terminal, &mut buffer) {
        if count == 0 {
            break;
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    assert!(text.contains("7 8") && text.contains("got word"), "{text:?}");
    assert_eq!(reply(&channel).0, Reply::ExecExited { status: ExitStatus::Code(2) });
    // Nobody reads: the process must get through all the same.
    let mut request = exec("");
    request.process = Process { terminal: Some(size), ..shell("head -c 100000 /dev/zero; touch /tmp/through") };
    let channel = container.send(&Request::Exec(Box::new(request)), &[]);
    drop(reply(&channel));
    drop(channel);
    assert!(eventually(|| container.exec("test -e /tmp/through").1.success()));
    container.stop(0);
    container.end();
}

/// The container's root may send signals to every process that it sees, those included that are only on their way in.
fn stopped_execs() {
    let container = draft("while :; do kill -STOP 8 9 10 11 12 13 14 15 16 2> /dev/null; done").start();
    let null = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
    let fds = [null.as_fd(), null.as_fd(), null.as_fd()];
    let mut given_up = 0;
    for _ in 0..12 {
        match reply(&container.send(&Request::Exec(Box::new(exec("true"))), &fds)).0 {
            Reply::ExecStarted { .. } => {}
            Reply::Failed { class: ErrorClass::Unavailable, .. } => {
                given_up += 1;
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    println!("execs given up: {given_up}");
    assert_eq!(container.stop(0).status, ExitStatus::Signal(9));
    container.end();
}

fn pause() {
    let container = draft("i=0; while :; do i=$((i+1)); echo $i; sleep 0.002; done").start();
    assert_eq!(container.ask(&Request::Pause), Reply::Done);
    assert!(container.state().paused);
    assert!(matches!(container.ask(&Request::Pause), Reply::Failed { class: ErrorClass::Conflict, .. }));
    let before = container.log("stdout");
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(container.log("stdout"), before);
    assert_eq!(container.ask(&Request::Unpause), Reply::Done);
    assert!(eventually(|| container.log("stdout").len() > before.len()));
    assert_eq!(container.ask(&Request::Pause), Reply::Done);
    assert_eq!(container.stop(0).status, ExitStatus::Signal(9));
    container.end();
}

fn counters() {
    let container = draft("sleep 1000 & sleep 1000").start();
    let pids = || match container.ask(&Request::Processes) {
        Reply::Processes { pids } => pids,
        other => panic!("{other:?}"),
    };
    assert!(eventually(|| pids().len() == 3));
    assert!(pids().contains(&container.started.pid));
    let Reply::Stats(stats) = container.ask(&Request::Stats) else { panic!("no stats") };
    assert!(stats.memory_usage > 0 && stats.cpu_total > 0 && stats.pids == 3, "{stats:?}");
    assert!(stats.memory_limit < u64::MAX && stats.pids_limit < u64::MAX, "limits are on by default");
    assert_eq!((stats.net_rx, stats.net_tx), (0, 0));
    container.stop(0);
    container.end();
}

fn update() {
    let container = draft("sleep 1000").start();
    let limits = Limits { memory: Some(77 << 20), pids: Some(55), ..Limits::default() };
    let request = Request::Update { limits: Box::new(limits), restart: Some(RestartPolicy::Always) };
    assert_eq!(container.ask(&request), Reply::Done);
    let Reply::Stats(stats) = container.ask(&Request::Stats) else { panic!("no stats") };
    assert_eq!((stats.memory_limit, stats.pids_limit), (77 << 20, 55));
    let pidfd = bulkhead_sys::process::open(container.started.pid).unwrap();
    bulkhead_sys::process::signal(pidfd.as_fd(), 9).unwrap();
    assert!(container.asked().starts_with("internal restart"));
    container.end();
}

fn root() {
    let container = draft("echo x > /tmp/file; echo ready; sleep 1000").start();
    assert!(eventually(|| container.log("stdout").contains("ready")));
    let (answer, fds) = reply(&container.send(&Request::Root, &[]));
    assert_eq!(answer, Reply::Root);
    let file = rustix::fs::openat(&fds[0], "tmp/file", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
    assert_eq!(rustix::fs::fstat(&file).unwrap().st_uid, house::BASE);
    container.stop(0);
    container.end();
}

fn large_request() {
    use std::io::{Read as _, Write as _};
    let container = draft("sleep 1000").start();
    let mut request = exec("echo ${#BIG}");
    request.process.env.push(format!("BIG={}", "x".repeat(100_000)));
    let memory = rustix::fs::memfd_create("request", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut memory = std::fs::File::from(memory);
    memory.write_all(&serde_json::to_vec(&Request::Exec(Box::new(request))).unwrap()).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let channel = container.connect();
    channel.send(IN_MEMFD, &[memory.as_fd(), null.as_fd(), writer.as_fd(), writer.as_fd()]).unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "100000\n");
    container.stop(0);
    container.end();
}

fn nonsense() {
    let container = draft("sleep 1000").start();
    for bytes in [b"nonsense".to_vec(), b"{}".to_vec(), b"memfd".to_vec(), br#"{"signal":{"signal":99}}"#.to_vec()] {
        let channel = container.connect();
        channel.send(&bytes, &[]).unwrap();
        let answer = reply(&channel).0;
        assert!(matches!(answer, Reply::Failed { class: ErrorClass::Invalid, .. }), "{answer:?}");
    }
    let channel = container.connect();
    channel.send(&vec![b' '; 100_000], &[]).unwrap();
    assert!(channel.receive(1 << 20).map_or(true, |packet| packet.is_none()), "too long: closed");
    // More connections than it serves at a time.
    let idle: Vec<_> = (0..300)
        .map_while(|_| {
            let dir = std::fs::File::open(container.path("run")).unwrap();
            bulkhead_sys::socket::Channel::connect(dir.as_fd(), "control.sock").ok()
        })
        .collect();
    drop(idle);
    assert!(eventually(|| {
        let channel = container.connect();
        channel.send(&serde_json::to_vec(&Request::State).unwrap(), &[]).is_ok()
            && channel.receive(1 << 20).is_ok_and(|packet| packet.is_some())
    }));
    container.stop(0);
    container.end();
}

fn idle_memory() {
    let containers: Vec<_> = (0..5).map(|_| draft("sleep 1000").start()).collect();
    for container in &containers {
        container.ask(&Request::State);
        container.exec("true");
    }
    for container in &containers {
        let pid = container.state().monitor_pid;
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let of = |key: &str| -> u64 {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let private = of("Private_Clean:") + of("Private_Dirty:");
        println!("idle monitor: {private} KiB private, {} KiB of memory in proportion", of("Pss:"));
        // An unoptimised build is larger.
        assert!(
            private
                <= if cfg!(debug_assertions) && std::env::var_os("BULKHEAD_MONITOR").is_none() { 1000 } else { 400 }
        );
    }
    for container in &containers {
        container.stop(0);
        container.end();
    }
}
