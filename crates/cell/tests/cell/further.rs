//! Further processes in a running cell.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use bulkhead_cell::{Cell, StepFailed, Tenant};
use bulkhead_plan::control::Exec;
use bulkhead_plan::{Capability, Rlimit, TerminalSize};
use bulkhead_sys::process::{self, Ended};

use crate::house::{null, plan, process_of, start, wishes};

type Case = (&'static str, fn());

pub const ALL: &[Case] = &[
    ("exec_has_the_same_walls", exec_has_the_same_walls),
    ("exec_has_the_same_limits", exec_has_the_same_limits),
    ("exec_as_another_user", exec_as_another_user),
    ("exec_in_the_cgroup", exec_in_the_cgroup),
    ("exec_failures", exec_failures),
    ("exec_with_a_terminal", exec_with_a_terminal),
    ("exec_of_our_own_program", exec_of_our_own_program),
    ("exec_with_other_capabilities", exec_with_other_capabilities),
    ("exec_in_a_gone_cell", exec_in_a_gone_cell),
    ("how_long_exec_takes", how_long_exec_takes),
];

fn idle(cgroup: Option<&str>) -> (Cell, Tenant) {
    let script = "trap 'exit 0' TERM; sleep 1000 > /dev/null & echo ready; wait";
    let (cell, tenant, mut reader) = start(&plan(wishes(script)), cgroup).unwrap();
    reader.read_exact(&mut [0u8; 6]).unwrap();
    (cell, tenant)
}

fn end((cell, tenant): (Cell, Tenant)) {
    process::signal(tenant.pidfd.as_fd(), 9).unwrap();
    process::wait(tenant.pidfd.as_fd()).unwrap();
    cell.demolish().unwrap();
}

fn exec_of(script: &str) -> Exec {
    Exec { process: process_of(script), capabilities: None, own_program: false }
}

fn exec(cell: &Cell, exec: &Exec, program: Option<OwnedFd>) -> Result<(String, Ended), StepFailed> {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let stdio = [null(), writer.try_clone().unwrap().into(), writer.into()];
    let tenant = cell.exec(exec, Some(stdio), program)?;
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    Ok((text.trim_end().to_owned(), process::wait(tenant.pidfd.as_fd()).unwrap()))
}

fn exec_has_the_same_walls() {
    let inside = idle(None);
    let script = "hostname; id -u; readlink /proc/self/ns/* | cut -d: -f2; grep -E '^(Cap|NoNew|Seccomp|SigIgn|Groups)' /proc/self/status; ulimit -c";
    let (mine, ended) = exec(&inside.0, &exec_of(script), None).unwrap();
    assert_eq!(ended, Ended::Code(0), "{mine}");
    // The first process as it sees itself: the same script run through a shell that pid 1 would be.
    let (cell, tenant, mut reader) = start(&plan(wishes(script)), None).unwrap();
    let mut first = String::new();
    reader.read_to_string(&mut first).unwrap();
    process::wait(tenant.pidfd.as_fd()).unwrap();
    cell.demolish().unwrap();
    let without_numbers =
        |text: &str| text.lines().filter(|line| !line.starts_with('[')).map(String::from).collect::<Vec<_>>();
    assert_eq!(without_numbers(&mine), without_numbers(first.trim_end()));
    let (same, _) = exec(&inside.0, &exec_of("for n in user mnt pid net ipc uts cgroup time; do a=$(readlink /proc/self/ns/$n); b=$(readlink /proc/1/ns/$n); test \"$a\" = \"$b\" || echo $n; done; ls /proc/self/fd; pwd; cat /proc/1/comm"), None).unwrap();
    assert_eq!(same, "0\n1\n2\n3\n/\nsh");
    end(inside);
}

fn exec_has_the_same_limits() {
    let mut wishes = wishes("echo ready; exec sleep 1000 > /dev/null 2>&1");
    wishes.process.rlimits = vec![Rlimit { name: "nofile".into(), soft: Some(100), hard: Some(200) }];
    wishes.oom_score_adj = 500;
    let (cell, tenant, mut reader) = start(&plan(wishes), None).unwrap();
    reader.read_exact(&mut [0u8; 6]).unwrap();
    let mut wanted = exec_of("ulimit -Sn; ulimit -Hn; cat /proc/1/oom_score_adj /proc/self/oom_score_adj");
    assert_eq!(exec(&cell, &wanted, None).unwrap().0, "100\n200\n500\n500");
    wanted.process.rlimits = vec![Rlimit { name: "nofile".into(), soft: Some(50), hard: Some(60) }];
    assert!(exec(&cell, &wanted, None).unwrap().0.starts_with("50\n60"));
    end((cell, tenant));
}

fn exec_as_another_user() {
    let inside = idle(None);
    let mut wanted =
        exec_of("id -u; id -g; id -G; echo $HOME; grep CapEff /proc/self/status | cut -f2; echo x > /dev/stdout");
    wanted.process.user = "www".into();
    let (text, _) = exec(&inside.0, &wanted, None).unwrap();
    assert_eq!(text, "33\n34\n34 4\n/var/www\n0000000000000000\nx");
    end(inside);
}

fn exec_in_the_cgroup() {
    let inside = idle(Some("/bulkhead-cell-test-exec"));
    let (text, _) = exec(&inside.0, &exec_of("cut -d: -f3 /proc/self/cgroup | sort -u | head -1"), None).unwrap();
    assert_eq!(text, "/");
    end(inside);
}

fn exec_failures() {
    let inside = idle(None);
    let count = || exec(&inside.0, &exec_of("for p in /proc/[0-9]*; do echo; done | wc -l"), None).unwrap().0;
    let before = count();
    let mut wanted = exec_of("");
    for (program, code) in [("foo", 127), ("/bin/foo", 127), ("/etc/passwd", 126)] {
        wanted.process.args = vec![program.into()];
        assert_eq!(exec(&inside.0, &wanted, None).unwrap_err().exit_code, code, "{program}");
    }
    wanted = exec_of("true");
    wanted.process.cwd = "/missing".into();
    assert_eq!(exec(&inside.0, &wanted, None).unwrap_err().exit_code, 127);
    wanted = exec_of("true");
    wanted.process.user = "nobody-here".into();
    assert!(exec(&inside.0, &wanted, None).unwrap_err().message.contains("unable to find user"));
    // Nothing of it is left inside; on a busy machine the last one may still be on its way out.
    let gone = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        count() == before
    });
    assert!(gone, "{} processes inside became {}", before, count());
    end(inside);
}

fn exec_with_a_terminal() {
    let inside = idle(None);
    let mut wanted = exec_of("tty; stty size; read x; echo got $x; test -t 0 && echo yes");
    wanted.process.terminal = Some(TerminalSize { rows: 10, columns: 20 });
    let tenant = inside.0.exec(&wanted, None, None).unwrap();
    let mut terminal = std::fs::File::from(tenant.terminal.unwrap());
    terminal.write_all(b"word\n").unwrap();
    let mut text = String::new();
    let _end = terminal.read_to_string(&mut text);
    process::wait(tenant.pidfd.as_fd()).unwrap();
    assert!(text.contains("10 20") && text.contains("got word") && text.contains("yes"), "{text}");
    end(inside);
}

fn exec_of_our_own_program() {
    let inside = idle(None);
    // Any program will do that can say where it was executed from.
    let shell = std::fs::File::open("/bin/sh").unwrap();
    let copy = process::sealed_copy(shell.as_fd()).unwrap();
    let mut wanted = exec_of("readlink /proc/self/exe /proc/$$/exe; echo x >> /proc/$$/exe");
    wanted.own_program = true;
    let (text, ended) = exec(&inside.0, &wanted, Some(copy)).unwrap();
    assert!(text.contains("memfd:bulkhead"), "{text}");
    assert_ne!(ended, Ended::Code(0), "the copy cannot be written");
    assert!(exec(&inside.0, &wanted, None).is_err());
    end(inside);
}

fn exec_with_other_capabilities() {
    let inside = idle(None);
    let mut wanted = exec_of("grep CapEff /proc/self/status | cut -f2");
    wanted.capabilities = Some(vec![Capability::Chown, Capability::SysAdmin]);
    assert_eq!(exec(&inside.0, &wanted, None).unwrap().0, "0000000000200001");
    end(inside);
}

fn exec_in_a_gone_cell() {
    let (cell, tenant) = idle(None);
    process::signal(tenant.pidfd.as_fd(), 9).unwrap();
    process::wait(tenant.pidfd.as_fd()).unwrap();
    assert!(exec(&cell, &exec_of("true"), None).unwrap_err().message.contains("not running"));
    assert!(cell.root().is_err());
    // Our own children are still born where we live.
    let own = std::fs::read_link("/proc/self/ns/pid_for_children").unwrap();
    assert_eq!(own, std::fs::read_link("/proc/self/ns/pid").unwrap());
    cell.demolish().unwrap();
}

fn how_long_exec_takes() {
    let inside = idle(None);
    let mut wanted = exec_of("");
    wanted.process.args = vec!["/bin/true".into()];
    let mut times = Vec::new();
    for _ in 0..20 {
        let begin = std::time::Instant::now();
        let tenant = inside.0.exec(&wanted, Some([null(), null(), null()]), None).unwrap();
        process::wait(tenant.pidfd.as_fd()).unwrap();
        times.push(begin.elapsed());
    }
    times.sort();
    println!("exec {:?} (median of 20)", times[10]);
    end(inside);
}
