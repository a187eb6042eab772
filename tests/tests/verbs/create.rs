//! `create` and `start`: what is recorded, and what starting it gives.

use bulkhead_tests::{DEBIAN, root_is_here, shared, unique};

#[test]
fn a_created_container_starts_attached() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let name = unique("made");
    let id = home.bulkhead(["create", "-i", "--name", &name, DEBIAN, "sh", "-c", "cat; exit 4"]).ok();
    assert_eq!(id.len(), 64);
    assert_eq!(home.inspect(&name, "{{.State.Status}} {{.Id}}"), format!("created {id}"));
    let run = home.bulkhead_with(["start", "-a", "-i", &name], b"fed");
    assert_eq!(run.fails(4).stdout, "fed");
    assert_eq!(home.inspect(&name, "{{.State.ExitCode}}"), "4");
    home.bulkhead(["start", "no-such-container", &name]).fails(1).says("No such container");
    home.bulkhead(["rm", "-f", &name]).ok();
}

#[test]
fn an_id_file_is_never_written_over() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("id").display().to_string();
    home.bulkhead(["run", "--rm", "--cidfile", &file, DEBIAN, "true"]).ok();
    assert_eq!(std::fs::read_to_string(&file).unwrap().len(), 64);
    home.bulkhead(["run", "--rm", "--cidfile", &file, DEBIAN, "true"]).fails(125).says("container ID file found");
}

#[test]
fn a_name_is_given_once() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let name = unique("once");
    home.bulkhead(["create", "--name", &name, DEBIAN]).ok();
    home.bulkhead(["create", "--name", &name, DEBIAN]).fails(1).says("is already in use by container");
    let other = unique("other");
    home.bulkhead(["rename", &name, &other]).ok();
    home.bulkhead(["inspect", &name]).fails(1);
    home.bulkhead(["rm", &other]).ok();
}

#[test]
fn the_environment_is_read_as_docker_reads_it() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("env");
    std::fs::write(&file, "# comment\nFILE= kept as is \nFROM_CALLER\n\nBOTH=file\n").unwrap();
    let mut command = home.command(["run", "--rm", "--env-file"]);
    command.arg(&file).args(["-e", "BOTH=flag", "-e", "FROM_CALLER", "-e", "NOT_SET", DEBIAN, "env"]);
    let output = command.env("FROM_CALLER", "yes").env_remove("NOT_SET").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in ["FILE= kept as is ", "FROM_CALLER=yes", "BOTH=flag"] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
    }
    assert!(!text.contains("NOT_SET"));
}
