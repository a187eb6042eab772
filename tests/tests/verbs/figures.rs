//! `stats`, `top`, `events`, `update`.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared};

#[test]
fn stats_and_top_show_what_runs() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &["-m", "64m", DEBIAN, "sleep", "1234"]);
    let format = "{{.Name}} {{.PIDs}} {{.MemUsage}}";
    let stats = home.bulkhead(["stats", "--no-stream", "--format", format, &container.name]).ok();
    assert!(stats.starts_with(&format!("{} 1 ", container.name)) && stats.ends_with("/ 64MiB"), "{stats}");
    let top = home.bulkhead(["top", &container.name]).ok();
    assert!(top.contains("sleep 1234") && top.lines().count() == 2, "{top}");
}

#[test]
fn events_tell_a_containers_life() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &[DEBIAN, "sh", "-c", "exit 5"]);
    home.bulkhead(["wait", &container.name]).ok();
    let by_name = format!("container={}", container.name);
    let words = ["events", "--since", "1h", "--until", "0s", "--filter", &by_name, "--format", "{{.Action}}"];
    let told = home.bulkhead(words).ok();
    let at = |action: &str| told.lines().position(|line| line == action);
    assert!(at("create") < at("start") && at("start") < at("die") && at("create").is_some(), "{told}");
}

#[test]
fn update_changes_a_limit_of_a_running_container() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &["-m", "64m", DEBIAN, "sleep", "1000"]);
    home.bulkhead(["update", "-m", "96m", &container.name]).ok();
    assert_eq!(home.inspect(&container.name, "{{.HostConfig.Memory}}"), "100663296");
    let words = ["stats", "--no-stream", "--format", "{{.MemUsage}}", &container.name];
    assert!(home.bulkhead(words).ok().ends_with("/ 96MiB"));
}
