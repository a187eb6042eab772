//! `inspect`: templates, JSON, several kinds.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared};

#[test]
fn templates_and_json() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let box_ = Container::start(home, &["-l", "a.b=c", "-e", "X=1", DEBIAN, "sleep", "1000"]);
    let ask = |template: &str| home.inspect(&box_.name, template);
    assert_eq!(ask("{{.State.Status}}{{if .State.Running}}!{{end}}"), "running!");
    assert_eq!(ask("{{index .Config.Labels \"a.b\"}}"), "c");
    assert_eq!(ask("{{json .Config.Cmd}}"), "[\"sleep\",\"1000\"]");
    assert_eq!(ask("{{range .Config.Env}}{{if eq . \"X=1\"}}found{{end}}{{end}}"), "found");
    assert_eq!(ask("{{.Name}} {{len .Id}}"), format!("/{} 64", box_.name));
    home.bulkhead(["inspect", "-f", "{{.NoSuchField}}", &box_.name]).fails(1).says("template parsing error");
    home.bulkhead(["inspect", "-f", "{{", &box_.name]).fails(1).says("template parsing error");
    let run = home.bulkhead(["inspect", &box_.name, DEBIAN, "no-such-thing"]);
    run.fails(1).says("No such object: no-such-thing");
    let views: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(views.as_array().map(Vec::len), Some(2));
    home.bulkhead(["inspect", "--type", "image", &box_.name]).fails(1);
}
