//! `events`: what happened, in order, as text and as JSON.

use bulkhead_tests::{DEBIAN, root_is_here, shared, unique};

#[test]
fn a_life_is_told_in_order() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let name = unique("told");
    home.bulkhead(["run", "--rm", "--name", &name, DEBIAN, "sh", "-c", "exit 3"]).fails(3);
    let filter = format!("container={name}");
    let words = ["events", "--since", "1h", "--until", "0s", "--filter", &filter, "--format"];
    let actions = home.bulkhead(words.iter().chain(&["{{.Action}}"])).ok();
    assert_eq!(actions.lines().collect::<Vec<_>>(), ["create", "start", "die", "destroy"]);
    let json = home.bulkhead(words.iter().chain(&["json"])).ok();
    for line in json.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["Type"], "container");
        assert_eq!(event["Actor"]["Attributes"]["name"], name.as_str());
    }
}
