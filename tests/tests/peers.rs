//! Images between the shipped program and other people's tools: skopeo, podman and docker, over a real registry on
//! loopback and over archives.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bulkhead_tests::{Home, Registry, must, must_run, root_is_here, unique};

/// `tester` with the password `open sesame`, as `htpasswd -B` writes it.
const ACCOUNT: &str = "tester:$2b$04$gCjPw5dndGAWie/OXCGIuO/H1XxrUHYASM3VoTOVtEGtn9KwhLNUa\n";

/// A home, a registry and a place for files; the image `small:1` is in the home.
struct Setting {
    // Dropped in this order: the registry writes into the folder of the home.
    registry: Registry,
    home: Home,
}

impl Setting {
    /// `None` if something is missing here, with the reason printed.
    fn new(accounts: &str) -> Option<Self> {
        if !root_is_here() || !installed(&["docker-registry", "skopeo", "podman"]) {
            return None;
        }
        let home = Home::new();
        small(&home);
        Some(Self { registry: Registry::start(home.folder(), accounts), home })
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.address)
    }

    fn remote(&self, name: &str) -> String {
        format!("docker://{}", self.at(name))
    }

    fn file(&self, name: &str) -> String {
        self.home.folder().join(name).display().to_string()
    }

    /// Tags `small:1` for the registry and pushes it; its digest as the registry has it.
    fn push(&self, name: &str) -> String {
        self.home.bulkhead(["tag", "small:1", &self.at(name)]).ok();
        self.home.bulkhead(["push", "-q", &self.at(name)]).ok();
        skopeo(&["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &self.remote(name)])
    }

    fn forget_all(&self) {
        for id in self.home.bulkhead(["images", "-q", "--no-trunc"]).ok().lines() {
            self.home.bulkhead(["rmi", "-f", id]);
        }
        assert_eq!(self.home.bulkhead(["images", "-q"]).ok(), "");
    }

    fn podman(&self) -> Podman {
        Podman { folder: self.home.folder().join("podman") }
    }
}

fn installed(programs: &[&str]) -> bool {
    let found = |program: &&&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        !std::env::split_paths(&path).any(|folder| folder.join(program).exists())
    };
    let missing: Vec<_> = programs.iter().filter(found).collect();
    assert!(missing.is_empty() || !must_run("peers"), "BULKHEAD_MUST_RUN names peers, but {missing:?} is missing");
    if !missing.is_empty() {
        eprintln!("skipped: {missing:?} is missing");
    }
    missing.is_empty()
}

fn skopeo(words: &[&str]) -> String {
    must(Command::new("skopeo").args(words))
}

/// Podman on a store of its own, which is unmounted when this is dropped.
struct Podman {
    folder: PathBuf,
}

impl Podman {
    fn run(&self, words: &[&str]) -> String {
        let mut command = Command::new("podman");
        command.arg("--root").arg(self.folder.join("root")).arg("--runroot").arg(self.folder.join("run"));
        must(command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]).args(words))
    }

    /// What the file with the greeting holds.
    fn greeting(&self, image: &str) -> String {
        let container = self.run(&["create", "--network", "none", image]);
        let target = self.folder.join(unique("greeting"));
        self.run(&["cp", &format!("{container}:/etc/greeting"), &target.display().to_string()]);
        self.run(&["rm", &container]);
        std::fs::read_to_string(target).expect("podman copied the file")
    }
}

/// Makes `small:1`: two files, a link and odd owners.
fn small(home: &Home) {
    let tree = home.folder().join("tree");
    std::fs::create_dir_all(tree.join("etc")).expect("a folder");
    std::fs::write(tree.join("etc/greeting"), "hello\n").expect("a file");
    std::os::unix::fs::symlink("greeting", tree.join("etc/link")).expect("a link");
    std::fs::write(tree.join("owned"), "x").expect("a file");
    std::os::unix::fs::chown(tree.join("owned"), Some(33), Some(44)).expect("an owner");
    let tar = home.folder().join("tree.tar").display().to_string();
    must(Command::new("tar").arg("-C").arg(&tree).args(["-cf", &tar, "."]));
    home.bulkhead(["import", "-c", "CMD [\"/etc/greeting\"]", "-c", "LABEL kind=small", &tar, "small:1"]).ok();
}

/// Asserts that the image holds what [`small`] put in.
#[track_caller]
fn is_small(home: &Home, image: &str) {
    assert_eq!(home.bulkhead(["image", "inspect", "-f", "{{.Config.Labels.kind}}", image]).ok(), "small");
    let name = unique("look");
    home.bulkhead(["create", "--name", &name, image]).ok();
    let target = home.folder().join(&name);
    home.bulkhead(["cp", &format!("{name}:/etc"), &target.display().to_string()]).ok();
    assert_eq!(std::fs::read_to_string(target.join("greeting")).expect("the file"), "hello\n");
    assert_eq!(std::fs::read_link(target.join("link")).expect("the link"), Path::new("greeting"));
    home.bulkhead(["rm", &name]).ok();
}

#[test]
fn a_push_and_a_pull_keep_the_digest() {
    let Some(setting) = Setting::new("") else { return };
    let (home, name) = (&setting.home, setting.at("team/small:1"));
    let id = home.bulkhead(["image", "inspect", "-f", "{{.Id}}", "small:1"]).ok();
    let digest = setting.push("team/small:1");
    setting.forget_all();
    let pulled = home.bulkhead(["pull", &name]).ok();
    assert_eq!(pulled.matches(&format!("Digest: {digest}")).count(), 1, "{pulled}");
    assert!(pulled.contains("Status: Downloaded newer image for"), "{pulled}");
    assert_eq!(home.bulkhead(["image", "inspect", "-f", "{{.Id}}", &name]).ok(), id);
    is_small(home, &name);
    assert!(home.bulkhead(["pull", &name]).ok().contains("Status: Image is up to date for"));
    // What was pulled and pushed again is the same bytes.
    home.bulkhead(["tag", &name, &setting.at("team/again:1")]).ok();
    let pushed = home.bulkhead(["push", &setting.at("team/again:1")]).ok();
    assert_eq!(pushed.matches(&digest).count(), 1, "{pushed}");
}

#[test]
fn a_pull_by_digest_takes_that_image_and_no_other() {
    let Some(setting) = Setting::new("") else { return };
    let (home, digest) = (&setting.home, setting.push("small:1"));
    setting.forget_all();
    let pinned = setting.at(&format!("small@{digest}"));
    home.bulkhead(["pull", "-q", &pinned]).ok();
    is_small(home, &pinned);
    let other = setting.at(&format!("small@sha256:{}", "0".repeat(64)));
    home.bulkhead(["pull", "-q", &other]).fails(1).says("manifest unknown");
}

#[test]
fn a_lock_file_brings_back_the_same_images() {
    let Some(setting) = Setting::new("") else { return };
    let (home, name) = (&setting.home, setting.at("small:1"));
    let digest = setting.push("small:1");
    let file = setting.file("images.lock");
    home.bulkhead(["image", "lock", "-o", &file, &name]).ok();
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), format!("{name} {digest}\n"));
    assert_eq!(home.bulkhead(["image", "lock", &name]).ok(), format!("{name} {digest}"));
    home.bulkhead(["image", "lock", "small:1"]).fails(1).says("was made here");
    let id = home.bulkhead(["image", "inspect", "-f", "{{.Id}}", &name]).ok();
    home.bulkhead(["image", "lock", &id]).fails(1).says("is an id");
    // The tag moves on in the registry; the lock file does not.
    let tree = setting.file("other");
    std::fs::create_dir(&tree).expect("a folder");
    must(Command::new("tar").args(["-C", &tree, "-cf", &setting.file("other.tar"), "."]));
    home.bulkhead(["import", &setting.file("other.tar"), "other:1"]).ok();
    home.bulkhead(["tag", "other:1", &name]).ok();
    home.bulkhead(["push", "-q", &name]).ok();
    setting.forget_all();
    assert_eq!(home.bulkhead(["pull", "-q", "--lock", &file]).ok(), name);
    assert_eq!(home.bulkhead(["image", "inspect", "-f", "{{.Id}}", &name]).ok(), id);
    is_small(home, &name);
    std::fs::write(&file, format!("{name} {digest}\n{name}\n")).expect("the file");
    home.bulkhead(["pull", "--lock", &file]).fails(1).says("line 2");
    home.bulkhead(["pull"]).fails(1).says("--lock");
}

#[test]
fn zstd_layers_and_an_index_of_platforms_are_pulled() {
    let Some(setting) = Setting::new("") else { return };
    let (home, podman) = (&setting.home, setting.podman());
    setting.push("small:1");
    // From a file: podman would not compress again what it knows the registry to have.
    home.bulkhead(["save", "-o", &setting.file("small.tar"), &setting.at("small:1")]).ok();
    podman.run(&["load", "-q", "-i", &setting.file("small.tar")]);
    let zstd = setting.remote("small:zstd");
    let push = ["push", "-q", "--tls-verify=false", "--compression-format", "zstd", "--format", "oci"];
    podman.run(&[push.as_slice(), &[&setting.at("small:1"), &zstd]].concat());
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &zstd]);
    assert!(raw.contains("tar+zstd"), "podman did not write zstd: {raw}");
    podman.run(&["manifest", "create", "index"]);
    let add = ["manifest", "add", "--tls-verify=false", "--arch"];
    podman.run(&[add.as_slice(), &["s390x", "index", &setting.remote("small:1")]].concat());
    podman.run(&[add.as_slice(), &["amd64", "index", &zstd]].concat());
    podman.run(&["manifest", "push", "--tls-verify=false", "--all", "index", &setting.remote("many:1")]);

    setting.forget_all();
    home.bulkhead(["pull", "-q", "--platform", "linux/amd64", &setting.at("many:1")]).ok();
    is_small(home, &setting.at("many:1"));
    let missing = home.bulkhead(["pull", "-q", "--platform", "linux/riscv64", &setting.at("many:1")]);
    missing.fails(1).says("linux/s390x").says("linux/amd64");
}

#[test]
fn archives_of_skopeo_are_loaded() {
    let Some(setting) = Setting::new("") else { return };
    setting.push("small:1");
    let (docker, oci) = (setting.file("docker.tar"), setting.file("oci.tar"));
    let copy = ["copy", "-q", "--src-tls-verify=false"];
    skopeo(
        &[copy.as_slice(), &[&setting.remote("small:1"), &format!("docker-archive:{docker}:from/docker:1")]].concat(),
    );
    skopeo(&[copy.as_slice(), &[&setting.remote("small:1"), &format!("oci-archive:{oci}:from-oci")]].concat());
    setting.forget_all();
    let loaded = setting.home.bulkhead(["load", "-q", "-i", &docker]).ok();
    assert_eq!(loaded, "Loaded image: from/docker:1");
    is_small(&setting.home, "from/docker:1");
    setting.forget_all();
    let loaded = setting.home.bulkhead(["load", "-q", "-i", &oci]).ok();
    let name = loaded.split_once(": ").expect("what was loaded").1.trim().to_owned();
    is_small(&setting.home, &name);
}

#[test]
fn skopeo_and_podman_read_what_save_and_push_write() {
    let Some(setting) = Setting::new("") else { return };
    let (home, podman) = (&setting.home, setting.podman());
    let digest = setting.push("small:1");
    let id = home.bulkhead(["image", "inspect", "-f", "{{.Id}}", "small:1"]).ok();
    for (format, scheme) in [("docker-archive", "docker-archive"), ("oci-archive", "oci-archive")] {
        let archive = setting.file(&format!("{format}.tar"));
        home.bulkhead(["save", "--format", format, "-o", &archive, &setting.at("small:1")]).ok();
        skopeo(&["inspect", &format!("{scheme}:{archive}")]);
        podman.run(&["load", "-q", "-i", &archive]);
        let loaded = podman.run(&["image", "inspect", "-f", "{{.Id}}", &setting.at("small:1")]);
        assert_eq!(format!("sha256:{loaded}"), id, "{format}");
        assert_eq!(podman.greeting(&setting.at("small:1")), "hello\n", "{format}");
        podman.run(&["rmi", "-f", &setting.at("small:1")]);
    }
    podman.run(&["pull", "-q", "--tls-verify=false", &setting.at("small:1")]);
    assert_eq!(podman.run(&["image", "inspect", "-f", "{{.Digest}}", &setting.at("small:1")]), digest);
    assert_eq!(podman.greeting(&setting.at("small:1")), "hello\n");
}

#[test]
fn a_password_comes_from_dockers_configuration() {
    let Some(setting) = Setting::new(ACCOUNT) else { return };
    let (home, name) = (&setting.home, setting.at("private/small:1"));
    home.bulkhead(["tag", "small:1", &name]).ok();
    let with = |account: &str, words: &[&str]| {
        let folder = home.folder().join("docker-config");
        std::fs::create_dir_all(&folder).expect("a folder");
        let text = format!("{{\"auths\": {{\"{}\": {{\"auth\": \"{account}\"}}}}}}", setting.registry.address);
        std::fs::write(folder.join("config.json"), text).expect("a configuration");
        let output = home.command(words).env("DOCKER_CONFIG", &folder).output().expect("the program starts");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (right, wrong) = ("dGVzdGVyOm9wZW4gc2VzYW1l", "dGVzdGVyOndyb25n");
    let (went, said) = with(wrong, &["push", "-q", &name]);
    assert!(!went && !said.contains("wrong"), "{said}");
    let (went, said) = with(right, &["push", "-q", &name]);
    assert!(went, "{said}");
    setting.forget_all();
    home.bulkhead(["pull", "-q", &name]).fails(1);
    let (went, said) = with(right, &["pull", "-q", &name]);
    assert!(went, "{said}");
    is_small(home, &name);
}

#[test]
fn plain_http_is_spoken_on_loopback_only() {
    let Some(setting) = Setting::new("") else { return };
    setting.push("small:1");
    let port = setting.registry.address.rsplit(':').next().expect("a port").to_owned();
    setting.forget_all();
    setting.home.bulkhead(["pull", "-q", &format!("localhost:{port}/small:1")]).ok();
    // The same machine by another address: nothing is asked in the clear there.
    let listener = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let addresses = must(Command::new("hostname").arg("-I"));
    let Some(own) = addresses.split_whitespace().find(|one| !one.starts_with("127.") && !one.contains(':')) else {
        eprintln!("half skipped: this machine has no address but loopback");
        return;
    };
    let heard = std::thread::spawn(move || {
        use std::io::Read as _;
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut first = [0; 3];
        stream.read_exact(&mut first).map(|()| first).unwrap_or_default()
    });
    setting.home.bulkhead(["pull", "-q", &format!("{own}:{port}/small:1")]).fails(1);
    // 22 = a TLS handshake.
    assert_eq!(heard.join().expect("the listener ends")[0], 22);
}

#[test]
fn save_and_load_work_in_pipes() {
    let Some(setting) = Setting::new("") else { return };
    let other = Home::new();
    for format in ["docker-archive", "oci-archive"] {
        let mut save = setting.home.command(["save", "--format", format, "small:1"]);
        let mut saving = save.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut load = other.command(["load", "-q"]);
        let loaded = must_with(&mut load, saving.stdout.take().expect("a pipe"));
        assert!(saving.wait().expect("it ends").success());
        assert_eq!(loaded, "Loaded image: small:1", "{format}");
        is_small(&other, "small:1");
        other.bulkhead(["rmi", "small:1"]).ok();
    }
}

fn must_with(command: &mut Command, input: impl Into<Stdio>) -> String {
    let output = command.stdin(input).output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A docker daemon with everything in one folder and no network of its own.
struct Dockerd {
    child: Child,
    socket: String,
}

impl Dockerd {
    fn start(folder: &Path) -> Self {
        let place = |name: &str| folder.join(name).display().to_string();
        let socket = format!("unix://{}", place("docker.sock"));
        let mut command = Command::new("dockerd");
        command.args(["--data-root", &place("data"), "--exec-root", &place("exec"), "--pidfile", &place("pid")]);
        command.args(["-H", &socket, "--bridge", "none", "--iptables=false", "--ip6tables=false"]);
        command.args(["--storage-driver", "vfs"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let dockerd = Self { child: command.spawn().expect("dockerd is installed"), socket };
        let begin = Instant::now();
        while !dockerd.docker(&["version"]).output().is_ok_and(|output| output.status.success()) {
            assert!(begin.elapsed() < Duration::from_secs(60), "dockerd does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        dockerd
    }

    fn docker(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["-H", &self.socket]).args(words);
        command
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // Asked politely, so that it ends its containerd too.
        must(Command::new("kill").arg(self.child.id().to_string()));
        self.child.wait().expect("dockerd ends");
    }
}

#[test]
fn docker_loads_what_we_save_and_we_load_what_docker_saves() {
    let Some(setting) = Setting::new("") else { return };
    if !installed(&["dockerd", "docker"]) {
        return;
    }
    let folder = tempfile::Builder::new().prefix("bulkhead-dockerd-").tempdir().expect("a folder");
    let dockerd = Dockerd::start(folder.path());
    let (home, ours, theirs) = (&setting.home, setting.file("ours.tar"), setting.file("theirs.tar"));
    let id = home.bulkhead(["image", "inspect", "-f", "{{.Id}}", "small:1"]).ok();
    home.bulkhead(["save", "-o", &ours, "small:1"]).ok();
    must(&mut dockerd.docker(&["load", "-q", "-i", &ours]));
    assert_eq!(must(&mut dockerd.docker(&["image", "inspect", "-f", "{{.Id}}", "small:1"])), id);
    must(&mut dockerd.docker(&["save", "-o", &theirs, "small:1"]));
    setting.forget_all();
    home.bulkhead(["load", "-q", "-i", &theirs]).ok();
    assert_eq!(home.bulkhead(["image", "inspect", "-f", "{{.Id}}", "small:1"]).ok(), id);
    is_small(home, "small:1");
    // And over a registry, in both directions.
    setting.push("small:1");
    must(&mut dockerd.docker(&["pull", "-q", &setting.at("small:1")]));
    must(&mut dockerd.docker(&["tag", &setting.at("small:1"), &setting.at("docker:1")]));
    must(&mut dockerd.docker(&["push", "-q", &setting.at("docker:1")]));
    setting.forget_all();
    home.bulkhead(["pull", "-q", &setting.at("docker:1")]).ok();
    is_small(home, &setting.at("docker:1"));
    drop(dockerd);
}
