//! `ps`: the table, templates, filters.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared};

#[test]
fn tables_templates_and_filters() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let box_ = Container::start(home, &["-l", "role=db", DEBIAN, "sleep", "1000"]);
    let id = home.inspect(&box_.name, "{{.Id}}");
    let filter = format!("name={}", box_.name);
    let ps = |words: &[&str]| home.bulkhead(["ps", "--filter", &filter].iter().chain(words)).ok();
    let table = ps(&[]);
    let mut lines = table.lines();
    let titles: Vec<&str> = lines.next().unwrap_or_default().split("  ").filter(|title| !title.is_empty()).collect();
    let titles: Vec<&str> = titles.iter().map(|title| title.trim()).collect();
    assert_eq!(titles, ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]);
    let row = lines.next().unwrap_or_default();
    assert!(row.starts_with(&id[..12]) && row.contains("\"sleep 1000\"") && row.ends_with(&box_.name), "{row}");
    assert_eq!(ps(&["-q"]), id[..12]);
    assert_eq!(ps(&["-q", "--no-trunc"]), id);
    assert_eq!(ps(&["--format", "{{.Names}}|{{.Label \"role\"}}|{{.State}}"]), format!("{}|db|running", box_.name));
    let json: serde_json::Value = serde_json::from_str(&ps(&["--format", "json"])).unwrap();
    assert_eq!(json["Names"], box_.name.as_str());
    assert_eq!(ps(&["-q", "--filter", "label=role=web"]), "");
    assert_eq!(ps(&["-q", "--filter", "status=exited"]), "");
    home.bulkhead(["ps", "--filter", "nonsense"]).fails(1).says("invalid filter");
    home.bulkhead(["ps", "--filter", "no-such-key=1"]).fails(1);
    home.bulkhead(["ps", "--format", "{{.Nope}}"]).fails(1);
    assert_eq!(home.bulkhead(["container", "ls", "-q", "--filter", &filter]).ok(), id[..12]);
}
