//! Starts, ends, restarts, limits, health.

use std::os::fd::AsFd as _;

use bulkhead_plan::control::{Reply, Request, RestartPolicy};
use bulkhead_plan::handover::Health;
use bulkhead_plan::{Limits, Wishes};
use bulkhead_types::{ErrorClass, ExitStatus};

use crate::house::{self, collect, draft, draft_of, eventually, exec, shell};

pub const ALL: &[(&str, fn())] = &[
    ("the_end_is_recorded_before_it_is_told", the_end_is_recorded_before_it_is_told),
    ("a_program_that_is_missing_is_127_and_leaves_nothing", missing_program),
    ("only_one_monitor_holds_the_lock", only_one_monitor),
    ("stop_waits_then_kills", stop_waits_then_kills),
    ("sigterm_to_the_monitor_means_the_container", sigterm_is_forwarded),
    ("a_killed_monitor_takes_its_container_along_and_repair_clears_up", killed_monitor),
    ("a_memory_limit_that_is_hit_is_named", memory_limit),
    ("a_process_limit_that_is_hit_is_named", process_limit),
    ("restart_asks_the_engine_after_a_pause", restart_asks_the_engine),
    ("a_stop_between_two_runs_ends_it", stop_between_runs),
    ("on_failure_ends_after_its_tries", on_failure),
    ("rm_asks_the_engine_unless_a_client_does_it", rm_asks_the_engine),
    ("health_goes_from_starting_to_unhealthy_and_back", health),
    ("a_check_that_hangs_is_ended", hanging_check),
];

fn the_end_is_recorded_before_it_is_told() {
    let container = draft("echo out; echo problem >&2; exit 3").attach().start();
    let all = collect(container.attached.as_ref().unwrap());
    let exited = all.exited.unwrap();
    assert_eq!(exited.status, ExitStatus::Code(3));
    assert_eq!(container.record(), exited);
    assert!(!container.is_locked(), "who is told may remove it at once");
    assert_eq!((all.stdout.as_slice(), all.stderr.as_slice()), (b"out\n".as_slice(), b"problem\n".as_slice()));
    assert_eq!((container.log("stdout").as_str(), container.log("stderr").as_str()), ("out\n", "problem\n"));
    assert_eq!(container.end(), exited);
    let events = container.event_lines();
    assert_eq!(container.events(), ["start", "die"]);
    let die = events.last().unwrap();
    assert_eq!((die["Action"].as_str(), die["Actor"]["Attributes"]["exitCode"].as_str()), (Some("die"), Some("3")));
    assert_eq!((die["from"].as_str(), die["Type"].as_str()), (Some("none"), Some("container")));
    assert!(!container.path("run/state.json").exists());
}

fn missing_program() {
    let mut process = shell("");
    process.args = vec!["/no/such/program".into()];
    let draft = draft_of(Wishes { process, ..Wishes::default() });
    let not = draft.try_start().err().expect("it cannot start");
    assert_eq!((not.exit_code, not.class), (127, ErrorClass::NotFound), "{}", not.message);
    assert!(not.message.contains("/no/such/program"), "{}", not.message);
}

fn only_one_monitor() {
    let container = draft("sleep 1000").start();
    assert!(container.is_locked());
    let mut second = draft("true");
    let path = second.dir.path().join("run");
    std::fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink(container.path("run"), &path).unwrap();
    second.message.cgroup = None;
    let not = second.try_start().err().expect("the lock is held");
    assert_eq!(not.class, ErrorClass::Conflict, "{}", not.message);
    assert_eq!(container.state().pid, container.started.pid);
    container.stop(0);
    container.end();
}

fn stop_waits_then_kills() {
    let container = draft("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done").start();
    assert!(eventually(|| container.log("stdout").contains("ready")));
    assert_eq!(container.stop(30).status, ExitStatus::Code(7));
    container.end();
    let container = draft("trap '' TERM; echo ready; while :; do sleep 0.01; done").start();
    assert!(eventually(|| container.log("stdout").contains("ready")));
    let waiting = container.send(&Request::Wait, &[]);
    assert_eq!(container.stop(0).status, ExitStatus::Signal(9));
    let Reply::Exited(exited) = house::reply(&waiting).0 else { panic!("no exit") };
    assert_eq!(exited, container.end());
}

fn sigterm_is_forwarded() {
    let mut draft = draft("trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done");
    draft.message.restart = RestartPolicy::Always;
    let container = draft.start();
    assert!(eventually(|| container.log("stdout").contains("ready")));
    for signal in [1, 2, 15] {
        bulkhead_sys::process::signal(container.monitor.as_fd(), signal).unwrap();
    }
    assert_eq!(container.end().status, ExitStatus::Code(5));
    assert!(!container.path("asked").exists(), "the host goes down: nothing starts again");
}

fn killed_monitor() {
    let container = draft("sleep 1000").start();
    let pid = container.started.pid;
    let pidfd = bulkhead_sys::process::open(pid).unwrap();
    bulkhead_sys::process::signal(container.monitor.as_fd(), 9).unwrap();
    assert!(
        eventually(|| bulkhead_sys::process::signal(pidfd.as_fd(), 0).is_err()),
        "the container outlived its monitor"
    );
    assert!(eventually(|| !container.is_locked()));
    // The rest is done by `--repair` at the end of every case, and checked by its traces.
}

fn memory_limit() {
    let limits = Limits { memory: Some(32 << 20), ..Limits::default() };
    let process = shell("tail /dev/zero; echo survived; exit 9");
    let container = draft_of(Wishes { process, limits, ..Wishes::default() }).start();
    let exited = container.end();
    assert!(exited.oom_killed, "{exited:?}");
    assert!(exited.limit.contains("memory limit of 32 MiB") && exited.limit.contains("--memory"), "{}", exited.limit);
    assert!(container.events().contains(&"oom".to_owned()));
    assert_eq!(container.events().iter().filter(|action| *action == "oom").count(), 1);
}

fn process_limit() {
    let limits = Limits { pids: Some(6), ..Limits::default() };
    let process = shell("for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; wait");
    let container = draft_of(Wishes { process, limits, ..Wishes::default() }).start();
    let exited = container.end();
    assert!(exited.limit.contains("process limit of 6") && exited.limit.contains("--pids-limit"), "{exited:?}");
}

fn restart_asks_the_engine() {
    let mut draft = draft("exit 1");
    draft.message.restart = RestartPolicy::Always;
    let id = draft.message.container.to_string();
    let container = draft.start();
    assert_eq!(container.end().status, ExitStatus::Code(1));
    assert_eq!(container.asked(), format!("internal restart {id}"));
    assert!(!container.is_locked());
    assert_eq!(std::fs::read_to_string(container.path("run/restart-pause")).unwrap(), "100");
}

fn stop_between_runs() {
    let mut draft = draft("exit 1");
    draft.message.restart = RestartPolicy::Always;
    // As the ninth restart in a row would find it.
    draft.message.restarts = 9;
    std::fs::write(draft.dir.path().join("run/restart-pause"), "25000").unwrap();
    let container = draft.start();
    assert!(eventually(|| container.state().pid == 0));
    assert!(container.is_locked());
    let refused = container.ask(&Request::Pause);
    assert!(matches!(refused, Reply::Failed { class: ErrorClass::Conflict, .. }), "{refused:?}");
    assert_eq!(container.stop(10).status, ExitStatus::Code(1));
    assert!(!container.is_locked());
    container.end();
    assert!(!container.path("asked").exists());
}

fn on_failure() {
    let mut draft = draft("exit 1");
    draft.message.restart = RestartPolicy::OnFailure { max: 2 };
    draft.message.restarts = 2;
    let container = draft.start();
    container.end();
    assert!(!container.path("asked").exists());
}

fn rm_asks_the_engine() {
    let mut nobody = draft("true");
    nobody.message.remove = true;
    let id = nobody.message.container.to_string();
    let container = nobody.start();
    container.end();
    assert_eq!(container.asked(), format!("internal reap {id}"));

    let mut client = draft("true").attach();
    client.message.remove = true;
    let container = client.start();
    assert!(collect(container.attached.as_ref().unwrap()).exited.is_some());
    container.end();
    assert!(!container.path("asked").exists(), "the client does it");

    let mut gone = draft("sleep 0.05; echo x").attach();
    gone.message.remove = true;
    let mut container = gone.start();
    container.attached = None;
    container.end();
    assert!(container.asked().starts_with("internal reap"));

    let mut restarted = draft("sleep 1000");
    restarted.message.remove = true;
    let container = restarted.start();
    container.ask(&Request::Stop { signal: Some(9), timeout: None, restart: true });
    container.end();
    assert!(!container.path("asked").exists(), "the engine goes on with it");
}

fn check(script: &str, timeout_ms: u64) -> Health {
    Health { exec: exec(script), interval_ms: 20, start_interval_ms: 20, timeout_ms, start_period_ms: 0, retries: 2 }
}

fn health() {
    let mut draft = draft("sleep 1000");
    draft.message.health = Some(check("echo looking; test -e /tmp/fine", 20_000));
    let container = draft.start();
    assert!(eventually(|| container.state().health.as_deref() == Some("unhealthy")));
    let state = container.state();
    assert!(state.failing_streak >= 2);
    assert_eq!((state.health_log[0].output.as_str(), state.health_log[0].exit_code), ("looking\n", 1));
    container.exec("touch /tmp/fine");
    assert!(eventually(|| container.state().health.as_deref() == Some("healthy")));
    let on_disk: bulkhead_plan::control::RunState =
        serde_json::from_slice(&std::fs::read(container.path("run/state.json")).unwrap()).unwrap();
    assert_eq!(on_disk.health.as_deref(), Some("healthy"));
    container.stop(0);
    container.end();
    let events = container.events();
    assert!(events.contains(&"health_status: unhealthy".into()) && events.contains(&"health_status: healthy".into()));
}

fn hanging_check() {
    let mut draft = draft("sleep 1000");
    draft.message.health = Some(check("sleep 1000", 50));
    let container = draft.start();
    assert!(eventually(|| container.state().health.as_deref() == Some("unhealthy")));
    let state = container.state();
    assert_eq!(state.health_log[0].exit_code, -1);
    assert!(state.health_log[0].output.contains("exceeded timeout"), "{:?}", state.health_log[0]);
    container.stop(0);
    container.end();
}
