//! Logs, attachments, terminals.

use std::os::fd::AsFd as _;

use bulkhead_plan::control::{Packet, Reply, Request, Streams};
use bulkhead_plan::{Process, TerminalSize, Wishes};
use bulkhead_types::ExitStatus;

use crate::house::{ALL_STREAMS, Collected, collect, collect_until, draft, draft_of, eventually, packet, reply, shell};

pub const ALL: &[(&str, fn())] = &[
    ("input_reaches_the_process_and_its_end_too", input),
    ("without_stdin_once_the_input_stays_open", input_stays_open),
    ("a_second_attachment_sees_what_comes_after_it", second_attachment),
    ("a_slow_client_loses_nothing", slow_client),
    ("a_vanished_client_blocks_nobody", vanished_client),
    ("bytes_that_are_no_text_survive_and_the_log_stays_within_its_limit", bytes_and_rotation),
    ("a_terminal_is_one_and_can_be_sized", terminal),
    ("signals_of_an_attachment_reach_the_process", signals),
    ("output_of_the_last_moment_is_not_lost", last_moment),
];

fn input() {
    let mut draft = draft("cat; echo end").attach();
    draft.message.stdin_open = true;
    draft.message.stdin_once = true;
    let container = draft.start();
    let channel = container.attached.as_ref().unwrap();
    // Side by side: who only sends and never reads is made to wait, as by any pipe.
    let all = std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..10 {
                packet(channel, Packet::Stdin, &[b'x'; 60_000]);
            }
            packet(channel, Packet::StdinEnd, b"");
        });
        collect(channel)
    });
    assert_eq!(all.stdout.len(), 600_000 + 4);
    assert!(all.stdout.ends_with(b"end\n"));
    assert_eq!(container.end().status, ExitStatus::Code(0));
}

fn input_stays_open() {
    let mut draft = draft("while read line; do echo got $line; done; echo end");
    draft.message.stdin_open = true;
    let container = draft.start();
    for word in ["one", "two"] {
        let channel = container.send(&Request::Attach(ALL_STREAMS), &[]);
        assert!(matches!(reply(&channel).0, Reply::Attached { terminal: false }));
        packet(&channel, Packet::Stdin, format!("{word}\n").as_bytes());
        packet(&channel, Packet::StdinEnd, b"");
        collect_until(&channel, &mut Collected::default(), &format!("got {word}"));
    }
    container.stop(0);
    container.end();
    assert!(!container.log("stdout").contains("end"));
}

fn second_attachment() {
    let mut draft = draft("read a; echo $a; read b; echo $b").attach();
    draft.message.stdin_open = true;
    let container = draft.start();
    let first = container.attached.as_ref().unwrap();
    packet(first, Packet::Stdin, b"one\n");
    let mut early = Collected::default();
    collect_until(first, &mut early, "one");
    let second = container.send(&Request::Attach(Streams { stdin: false, stdout: true, stderr: false }), &[]);
    reply(&second);
    packet(&second, Packet::Stdin, b"ignored\n");
    packet(first, Packet::Stdin, b"two\n");
    assert_eq!(collect(&second).stdout, b"two\n");
    assert_eq!(collect(first).stdout, b"two\n");
    container.end();
}

fn slow_client() {
    let container = draft("head -c 3000000 /dev/zero").attach().start();
    // Meanwhile the monitor serves others.
    for _ in 0..20 {
        assert!(container.state().pid > 0 || container.path("data/exit.json").exists());
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(!container.path("data/exit.json").exists(), "the process must wait for the reader");
    let all = collect(container.attached.as_ref().unwrap());
    assert_eq!(all.stdout.len(), 3_000_000);
    assert_eq!(all.exited.unwrap().status, ExitStatus::Code(0));
    container.end();
}

fn vanished_client() {
    let mut container = draft("head -c 3000000 /dev/zero; echo done >&2").attach().start();
    assert!(eventually(|| container.path("data/log/json.log").exists()));
    container.attached = None;
    assert_eq!(container.end().status, ExitStatus::Code(0));
    assert_eq!(container.log("stderr"), "done\n");
}

fn bytes_and_rotation() {
    let mut draft =
        draft("printf '\\377\\000x\\n'; i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done").attach();
    draft.message.logs.max_size = 8192;
    draft.message.logs.max_files = 2;
    let container = draft.start();
    let all = collect(container.attached.as_ref().unwrap());
    assert!(all.stdout.starts_with(b"\xff\0x\nline 0\n") && all.stdout.ends_with(b"line 2999\n"));
    container.end();
    let files: Vec<u64> = std::fs::read_dir(container.path("data/log"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .collect();
    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|length| *length <= 8192), "{files:?}");
    assert!(container.log("stdout").ends_with("line 2999\n"));
}

fn terminal() {
    let size = TerminalSize { rows: 33, columns: 44 };
    let process = Process { terminal: Some(size), ..shell("stty size; tty; read x; stty size; exit 4") };
    let mut draft = draft_of(Wishes { process, ..Wishes::default() }).attach();
    draft.message.stdin_open = true;
    let container = draft.start();
    let channel = container.attached.as_ref().unwrap();
    let mut all = Collected::default();
    collect_until(channel, &mut all, "33 44");
    collect_until(channel, &mut all, "/dev/");
    packet(channel, Packet::Resize, br#"{"rows":5,"columns":6}"#);
    packet(channel, Packet::Stdin, b"\n");
    collect_until(channel, &mut all, "5 6");
    assert!(collect(channel).exited.is_some());
    assert_eq!(container.end().status, ExitStatus::Code(4));
    assert!(container.log("stdout").contains("33 44\r\n"));
}

fn signals() {
    let container = draft("trap 'exit 6' USR1; echo ready; while :; do sleep 0.01; done").attach().start();
    let channel = container.attached.as_ref().unwrap();
    collect_until(channel, &mut Collected::default(), "ready");
    packet(channel, Packet::Signal, &[10]);
    assert_eq!(collect(channel).exited.unwrap().status, ExitStatus::Code(6));
    container.end();
}

fn last_moment() {
    for _ in 0..10 {
        let container = draft("head -c 50000 /dev/zero; echo last").start();
        container.end();
        assert_eq!(container.log("stdout").len(), 50_005);
        assert!(bulkhead_sys::process::open(container.started.pid).is_err());
        let _ = container.monitor.as_fd();
    }
}
