//! `inspect` and `ps`: formats and filters.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared, unique};

#[test]
fn inspect_speaks_dockers_words() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let container = Container::start(home, &["-l", "one=1", "-e", "A=b", "-m", "64m", DEBIAN, "sleep", "1000"]);
    let see = |template: &str| home.inspect(&container.name, template);
    assert_eq!(see("{{.HostConfig.Memory}} {{index .Config.Labels \"one\"}}"), "67108864 1");
    assert_eq!(see("{{json .Config.Cmd}}"), "[\"sleep\",\"1000\"]");
    assert_eq!(see("{{.State.Running}} {{.State.Paused}} {{.RestartCount}}"), "true false 0");
    assert!(see("{{range .Config.Env}}{{println .}}{{end}}").lines().any(|line| line == "A=b"));
    let pid: u32 = see("{{.State.Pid}}").parse().expect("a number");
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    let whole = home.bulkhead(["inspect", &container.name]).ok();
    assert!(whole.starts_with("[\n") && whole.contains("\"HostConfig\": {"), "{whole}");
    home.bulkhead(["inspect", "--format", "{{.Nonsense.Field}}", &container.name]).fails(1);
    home.bulkhead(["inspect", "--format", "{{", &container.name]).fails(1);
    assert_eq!(home.bulkhead(["inspect", &unique("none")]).fails(1).stdout.trim(), "[]");
}

#[test]
fn ps_filters_and_formats() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let mark = unique("mark");
    let label = format!("mark={mark}");
    let up = Container::start(home, &["-l", &label, DEBIAN, "sleep", "1000"]);
    let down = Container::start(home, &["-l", &label, DEBIAN, "sh", "-c", "exit 4"]);
    home.bulkhead(["wait", &down.name]).ok();
    let by_label = format!("label={label}");
    let ps = |words: &[&str]| {
        let front = ["ps", "--filter", &by_label];
        home.bulkhead(front.iter().chain(words)).ok()
    };
    assert_eq!(ps(&["--format", "{{.Names}}"]), up.name);
    let both = ps(&["-a", "--format", "{{.Names}}"]);
    assert!(both.lines().count() == 2 && both.contains(&down.name), "{both}");
    assert_eq!(
        ps(&["-a", "--filter", "exited=4", "--format", "{{.Names}} {{.State}}"]),
        format!("{} exited", down.name)
    );
    assert_eq!(ps(&["-a", "--filter", "status=running", "--format", "{{.Names}}"]), up.name);
    let id = home.inspect(&up.name, "{{.Id}}");
    assert_eq!(ps(&["-q", "--no-trunc"]), id);
    assert_eq!(ps(&["-q"]), &id[..12]);
    let table = ps(&["-a"]);
    assert!(
        table.starts_with("CONTAINER ID   IMAGE") && table.contains("Exited (4)") && table.contains("Up "),
        "{table}"
    );
    let lines = ps(&["--format", "json"]);
    assert!(lines.starts_with('{') && lines.contains(&format!("\"Names\":\"{}\"", up.name)), "{lines}");
    home.bulkhead(["ps", "--filter", "nonsense=1"]).fails(1).says("nonsense");
}
