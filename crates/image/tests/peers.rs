//! Other people's tools agree: docker-registry, skopeo, podman, buildah and docker read what we write, and we read
//! what they write.
#![allow(missing_docs, clippy::print_stderr, clippy::unwrap_used, clippy::too_many_lines)]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bulkhead_image::{Image, SaveFormat, Silent};
use bulkhead_types::ErrorClass;
use support::programs::{Registry, Running, present, run};
use support::{Bench, Recorder, reference};

fn save(bench: &Bench, names: &[&str], format: SaveFormat, to: &Path) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut file = std::fs::File::create(to).unwrap();
    bench.store.save(&names, format, &mut file).unwrap();
}

fn load(from: &Path) -> (Bench, Vec<Image>) {
    let bench = Bench::new();
    let mut file = std::fs::File::open(from).unwrap();
    let images = bench.store.load(&mut file, &bench.sink, &Silent).unwrap();
    (bench, images)
}

fn names(image: &Image) -> Vec<String> {
    image.references.iter().map(bulkhead_types::ImageRef::familiar).collect()
}

#[test]
fn push_and_pull_through_dockers_registry() {
    if !present(&["docker-registry"]) {
        return;
    }
    let registry = Registry::start(None, None);
    let (first, second) = (format!("{}/team/app:v1", registry.host), format!("{}/other/app:v2", registry.host));
    let maker = Bench::new();
    let image = maker.make(&first, &[(1, 300_000), (2, 200_000), (3, 0)]);
    let told = Recorder::default();
    let digest = maker.store.push(&reference(&first), None, &told).unwrap();
    assert_eq!(digest, image.manifest);
    assert_eq!(told.count("Pushed"), 4);
    let told = Recorder::default();
    maker.store.push(&reference(&first), None, &told).unwrap();
    assert_eq!(told.count("Layer already exists"), 4);
    // Another repository of the same registry takes the blobs over.
    maker.store.tag(&first, &reference(&second)).unwrap();
    let told = Recorder::default();
    maker.store.push(&reference(&second), None, &told).unwrap();
    assert_eq!(told.count("Mounted"), 4, "{:?}", told.0);

    let puller = Bench::new();
    let pulled = puller.pull(&first).unwrap();
    assert_eq!((&pulled.id, &pulled.manifest, &pulled.layers), (&image.id, &image.manifest, &image.layers));
    assert_eq!(puller.sink.ready.lock().unwrap().len(), 3);
    let pinned = format!("{}/team/app@{digest}", registry.host);
    assert_eq!(puller.store.find(&pinned).unwrap().unwrap().id, image.id);
    assert_eq!(puller.store.find(&image.id.hex()[..10]).unwrap().unwrap().id, image.id);
    let told = Recorder::default();
    let options = bulkhead_image::PullOptions { platform: bulkhead_types::Platform::host(), credentials: None };
    puller.store.pull(&reference(&second), &options, &puller.sink, &told).unwrap();
    assert_eq!(told.count("Already exists"), 3);
    assert_eq!(Bench::new().pull(&pinned).unwrap().manifest, digest);

    let error = puller.pull(&format!("{}/team/none:v1", registry.host)).unwrap_err();
    assert_eq!(error.class, ErrorClass::NotFound);
    let error = maker.store.push(&reference("127.0.0.1:1/x:y"), None, &Silent).unwrap_err();
    assert_eq!(error.class, ErrorClass::NotFound);
}

#[test]
fn basic_authentication() {
    if !present(&["docker-registry", "python3"]) {
        return;
    }
    let script = "import crypt; print(crypt.crypt('secret', crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=32)))";
    let registry = Registry::start(Some(&format!("user:{}", run("python3", &["-W", "ignore", "-c", script]))), None);
    let name = format!("{}/app:v1", registry.host);
    let maker = Bench::new();
    let image = maker.make(&name, &[(4, 100_000)]);
    let error = maker.store.push(&reference(&name), None, &Silent).unwrap_err();
    assert_eq!(error.class, ErrorClass::Denied, "{error}");
    maker.store.push(&reference(&name), Some(("user".into(), "secret".into())), &Silent).unwrap();
    assert_eq!(Bench::new().pull(&name).unwrap_err().class, ErrorClass::Denied);
    assert_eq!(Bench::new().pull_as(&name, Some(("user", "wrong"))).unwrap_err().class, ErrorClass::Denied);
    assert_eq!(Bench::new().pull_as(&name, Some(("user", "secret"))).unwrap().id, image.id);
}

/// Runs in a process of its own: the authority comes by SSL_CERT_FILE.
#[test]
fn tls_with_a_known_authority_only() {
    if let Ok(name) = std::env::var("TEST_PULL") {
        match Bench::new().pull(&name) {
            Ok(image) => eprintln!("pulled {}", image.id),
            Err(error) => eprintln!("{error}"),
        }
        return;
    }
    if !present(&["docker-registry", "openssl"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=test",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            key.to_str().unwrap(),
            "-out",
            certificate.to_str().unwrap(),
        ],
    );
    let registry = Registry::start(None, Some((&certificate, &key)));
    let name = format!("{}/app:v1", registry.host);
    let pull = |roots: Option<&Path>| {
        let mut command = support::again("tls_with_a_known_authority_only");
        command.env("TEST_PULL", &name);
        if let Some(roots) = roots {
            command.env("SSL_CERT_FILE", roots);
        }
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let said = pull(None);
    assert!(said.contains("authority that this system does not know") && said.contains("SSL_CERT_FILE"), "{said}");
    let said = pull(Some(&certificate));
    assert!(said.contains("does not exist at"), "{said}");
    // Push something by another tool, and fetch it.
    let maker = Bench::new();
    let image = maker.make("app:v1", &[(5, 1000)]);
    let archive = dir.path().join("a.tar");
    save(&maker, &["app:v1"], SaveFormat::OciArchive, &archive);
    if present(&["skopeo"]) {
        let from = format!("oci-archive:{}", archive.display());
        run("skopeo", &["copy", "--dest-tls-verify=false", &from, &format!("docker://{name}")]);
        let said = pull(Some(&certificate));
        assert!(said.contains(&image.id.to_string()), "{said}");
    }
}

#[test]
fn skopeo_reads_and_writes_the_same_images() {
    if !present(&["docker-registry", "skopeo"]) {
        return;
    }
    let registry = Registry::start(None, None);
    let name = format!("{}/app:v1", registry.host);
    let maker = Bench::new();
    let image = maker.make(&name, &[(6, 300_000), (7, 100_000)]);
    maker.store.push(&reference(&name), None, &Silent).unwrap();
    let seen = run("skopeo", &["inspect", "--tls-verify=false", &format!("docker://{name}")]);
    assert!(seen.contains(&image.manifest.to_string()), "{seen}");

    // What we save, skopeo copies into the registry; what arrives is the same image.
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("a.tar");
    for (format, kind) in [(SaveFormat::DockerArchive, "docker-archive"), (SaveFormat::OciArchive, "oci-archive")] {
        save(&maker, &[&name], format, &archive);
        let to = format!("{}/{kind}:v1", registry.host);
        let from = format!("{kind}:{}", archive.display());
        run("skopeo", &["copy", "--dest-tls-verify=false", &from, &format!("docker://{to}")]);
        assert_eq!(Bench::new().pull(&to).unwrap().id, image.id, "{kind}");
    }

    // What skopeo writes, we load: both archives, and zstd layers from the registry.
    for (kind, tag) in [("docker-archive", "team/x:v1"), ("oci-archive", "team/x:v1")] {
        let path = dir.path().join(kind);
        let to = format!("{kind}:{}:{tag}", path.display());
        run("skopeo", &["copy", "--src-tls-verify=false", &format!("docker://{name}"), &to]);
        let (_bench, images) = load(&path);
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].id, image.id, "{kind}");
        assert_eq!(names(&images[0]), ["team/x:v1"], "{kind}");
    }
    // (In a registry of its own: skopeo would take the gzip blobs over that it has seen in the first.)
    let other = Registry::start(None, None);
    let zstd = format!("{}/zstd:v1", other.host);
    let plain = format!("dir:{}", dir.path().join("plain").display());
    run("skopeo", &["copy", "--src-tls-verify=false", "--dest-decompress", &format!("docker://{name}"), &plain]);
    run(
        "skopeo",
        &[
            "copy",
            "--dest-tls-verify=false",
            "--format",
            "oci",
            "--dest-compress-format",
            "zstd",
            &plain,
            &format!("docker://{zstd}"),
        ],
    );
    let bench = Bench::new();
    let pulled = bench.pull(&zstd).unwrap();
    assert_eq!(pulled.config.rootfs.diff_ids, image.config.rootfs.diff_ids);
    assert!(pulled.layers.iter().all(|layer| layer.media_type.ends_with("+zstd")), "{:?}", pulled.layers);
    let digest = bench.store.push(&reference(&zstd), None, &Silent).unwrap();
    assert_eq!(digest, pulled.manifest);
}

#[test]
fn podman_and_buildah_read_and_write_the_same_images() {
    if !present(&["podman", "buildah", "docker-registry"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (root, runroot) = (place("root"), place("run"));
    let storage = ["--root", &root, "--runroot", &runroot, "--storage-driver", "vfs"];
    let podman = |arguments: &[&str]| run("podman", &[&storage[..], arguments].concat());
    let buildah = |arguments: &[&str]| run("buildah", &[&storage[..], arguments].concat());

    let maker = Bench::new();
    let image = maker.make("localhost/app:v1", &[(8, 300_000), (9, 100_000)]);
    for format in [SaveFormat::DockerArchive, SaveFormat::OciArchive] {
        save(&maker, &["localhost/app:v1"], format, dir.path().join("a.tar").as_path());
        podman(&["load", "-q", "-i", &place("a.tar")]);
        let id = podman(&["image", "inspect", "--format", "{{.Id}}", "localhost/app:v1"]);
        assert_eq!(id.trim(), image.id.hex(), "{format:?}");
        if format == SaveFormat::DockerArchive {
            for kind in ["docker-archive", "oci-archive"] {
                podman(&["save", "-q", "--format", kind, "-o", &place(kind), "localhost/app:v1"]);
                let (_bench, images) = load(dir.path().join(kind).as_path());
                assert_eq!(images[0].config.rootfs.diff_ids, image.config.rootfs.diff_ids, "{kind}");
                assert_eq!(names(&images[0]), ["localhost/app:v1"], "{kind}");
            }
            podman(&["rmi", "-f", "localhost/app:v1"]);
        }
    }

    // An image that buildah builds on ours and pushes to a registry.
    let registry = Registry::start(None, None);
    std::fs::write(dir.path().join("file"), "by buildah").unwrap();
    let container = buildah(&["from", "--pull-never", "localhost/app:v1"]);
    let container = container.trim();
    buildah(&["copy", "-q", container, &place("file"), "/file"]);
    buildah(&["config", "--env", "A=b", "--cmd", "[\"/x\"]", "--user", "1:2", container]);
    for format in ["oci", "docker"] {
        let to = format!("{}/built-{format}:v1", registry.host);
        buildah(&["commit", "-q", "--format", format, "--tls-verify=false", container, &format!("docker://{to}")]);
        let built = Bench::new().pull(&to).unwrap();
        assert_eq!(built.layers.len(), 3, "{format}");
        assert_eq!(built.config.config.user, "1:2");
        assert!(built.config.config.env.contains(&"A=b".to_owned()) && built.config.config.cmd == ["/x"]);
    }
    buildah(&["rm", container]);
    podman(&["rmi", "-a", "-f"]);
}

/// A docker daemon of our own, on a socket of our own.
struct Docker {
    dir: tempfile::TempDir,
    process: Running,
}

impl Docker {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let process = Command::new("dockerd")
            .args(["--data-root", &place("data"), "--exec-root", &place("exec"), "--pidfile", &place("pid")])
            .args(["--host", &format!("unix://{}", place("socket")), "--bridge", "none", "--iptables=false"])
            .args(["--storage-driver", "vfs"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let docker = Self { dir, process: Running(process) };
        let end = Instant::now() + Duration::from_secs(60);
        while !docker.command(&["version"]).output().unwrap().status.success() {
            let log = std::fs::read_to_string(docker.dir.path().join("log")).unwrap();
            assert!(Instant::now() < end, "dockerd does not start: {log}");
            std::thread::sleep(Duration::from_millis(100));
        }
        docker
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", self.dir.path().join("socket").display())).args(arguments);
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // Asked to end, it ends its containerd with it; killed, it would leave that behind.
        let pid = self.process.0.id().to_string();
        drop(Command::new("kill").args(["-TERM", &pid]).status());
        let end = Instant::now() + Duration::from_secs(20);
        while matches!(self.process.0.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn docker_reads_and_writes_the_same_images() {
    if !present(&["docker", "dockerd", "docker-registry"]) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        support::skip("root", "dockerd needs root");
        return;
    }
    let registry = Registry::start(None, None);
    let name = format!("{}/app:v1", registry.host);
    let maker = Bench::new();
    let image = maker.make(&name, &[(21, 300_000), (22, 100_000)]);
    let work = tempfile::tempdir().unwrap();
    let place = |name: &str| work.path().join(name).to_str().unwrap().to_owned();
    save(&maker, &[&name], SaveFormat::DockerArchive, work.path().join("a.tar").as_path());
    let docker = Docker::start();
    let said = docker.run(&["load", "-i", &place("a.tar")]);
    assert!(said.contains(&format!("Loaded image: {name}")), "{said}");
    assert_eq!(docker.run(&["image", "inspect", "--format", "{{.Id}}", &name]).trim(), image.id.to_string());

    docker.run(&["tag", &name, "second:v2"]);
    docker.run(&["save", "-o", &place("b.tar"), &name, "second:v2"]);
    let (bench, images) = load(work.path().join("b.tar").as_path());
    assert_eq!(images.len(), 1);
    assert_eq!(images[0].id, image.id);
    assert_eq!(names(&images[0]).len(), 2);
    // Through a pipe and gzip, too.
    run("gzip", &["-k", &place("b.tar")]);
    let mut cat = Command::new("cat").arg(place("b.tar.gz")).stdout(Stdio::piped()).spawn().unwrap();
    let piped = Bench::new();
    let images = piped.store.load(cat.stdout.as_mut().unwrap(), &piped.sink, &Silent).unwrap();
    cat.wait().unwrap();
    assert_eq!(images[0].id, image.id);
    drop(bench);

    docker.run(&["rmi", "-f", &image.id.to_string()]);
    maker.store.push(&reference(&name), None, &Silent).unwrap();
    docker.run(&["pull", "-q", &name]);
    assert_eq!(docker.run(&["image", "inspect", "--format", "{{.Id}}", &name]).trim(), image.id.to_string());
    let pushed = format!("{}/by-docker:v1", registry.host);
    docker.run(&["tag", &name, &pushed]);
    docker.run(&["push", "-q", &pushed]);
    assert_eq!(Bench::new().pull(&pushed).unwrap().id, image.id);
}
