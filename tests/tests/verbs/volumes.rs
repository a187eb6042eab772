//! `volume` and `-v`: what stays, what is shared, what is read-only.

use bulkhead_tests::{Container, DEBIAN, root_is_here, shared, unique};

#[test]
fn a_named_volume_outlives_its_containers_and_is_shared() {
    if !root_is_here() {
        return;
    }
    let (home, volume) = (shared(), unique("volume"));
    assert_eq!(home.bulkhead(["volume", "create", "--label", "a=b", &volume]).ok(), volume);
    let mount = format!("{volume}:/data");
    home.bulkhead(["run", "--rm", "-v", &mount, DEBIAN, "sh", "-c", "echo kept >/data/file; chown 33 /data/file"]).ok();
    let keeper = Container::start(home, &["-v", &mount, DEBIAN, "sleep", "1000"]);
    let read = home.bulkhead([
        "run",
        "--rm",
        "-v",
        &format!("{mount}:ro"),
        DEBIAN,
        "sh",
        "-c",
        "cat /data/file; stat -c %u /data/file; touch /data/x",
    ]);
    read.fails(1).says("Read-only file system");
    assert_eq!(read.stdout, "kept\n33\n");
    home.bulkhead(["volume", "rm", &volume]).fails(1).says("in use");
    assert_eq!(home.bulkhead(["volume", "inspect", "-f", "{{.Labels.a}}", &volume]).ok(), "b");
    let listed = home.bulkhead(["volume", "ls", "-q", "--filter", &format!("name={volume}")]).ok();
    assert_eq!(listed, volume);
    drop(keeper);
    home.bulkhead(["volume", "rm", &volume]).ok();
    home.bulkhead(["volume", "inspect", &volume]).fails(1);
}

#[test]
fn a_nameless_volume_goes_with_rm() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let before = home.bulkhead(["volume", "ls", "-q"]).ok();
    let name = unique("nameless");
    let template = "{{range .Mounts}}{{.Name}}{{end}}";
    home.bulkhead(["create", "--name", &name, "-v", "/data", DEBIAN]).ok();
    let volume = home.inspect(&name, template);
    assert!(!volume.is_empty() && !before.contains(&volume));
    home.bulkhead(["rm", "-v", &name]).ok();
    home.bulkhead(["volume", "inspect", &volume]).fails(1);
}

#[test]
fn a_folder_of_the_host_is_bound_as_it_is() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "host").expect("a file");
    let bind = format!("{}:/host:ro", folder.path().display());
    let run = home.bulkhead(["run", "--rm", "-v", &bind, DEBIAN, "sh", "-c", "cat /host/file; echo x >/host/file"]);
    assert_eq!(run.stdout, "host");
    assert_ne!(run.code, 0);
    let missing = format!("type=bind,source={}/none,target=/x", folder.path().display());
    home.bulkhead(["run", "--rm", "--mount", &missing, DEBIAN, "true"]).fails(125).says("none");
    assert_eq!(home.bulkhead(["run", "--rm", "--tmpfs", "/t", DEBIAN, "stat", "-f", "-c", "%T", "/t"]).ok(), "tmpfs");
}
