//! The stage: Bulkhead with an image, the same image in podman and docker, and a registry, all in one folder.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::floor;
use crate::machine;

/// The image that everything runs.
pub const IMAGE: &str = "debian:bookworm";

/// What the measurements play on.
pub struct Stage {
    /// Everything of this run.
    pub folder: PathBuf,
    /// Words in front of a verb.
    pub bulkhead: Vec<String>,
    /// The same for podman, if it is installed.
    pub podman: Option<Vec<String>>,
    /// The same for docker, if it is installed.
    pub docker: Option<Vec<String>>,
    /// The floor program.
    pub floor: PathBuf,
    dockerd: Option<Child>,
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// What podman needs besides where limits cannot be raised above the hard limit (no `CAP_SYS_RESOURCE`).
pub const PODMAN_RUN: [&str; 4] = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];

/// A command of these words and more.
pub fn command(front: &[String], rest: &[&str]) -> Command {
    let mut command = Command::new(front.first().map_or("false", String::as_str));
    command.args(front.get(1..).unwrap_or_default()).args(rest);
    command
}

impl Stage {
    /// Builds, makes the image once, and loads it everywhere.
    pub fn set_up() -> Result<Self> {
        let program = machine::build("release")?;
        let folder = std::env::temp_dir().join(format!("bulkhead-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let path = |name: &str| folder.join(name).display().to_string();
        let bulkhead = words(&[&program.display().to_string(), "--root", &path("root"), "--run-root", &path("run")]);
        println!("stage: a Debian base image from the signed archive");
        machine::run(command(&bulkhead, &["image", "base", "debian", "bookworm"]).stdout(Stdio::null()))?;
        let archive = path("debian.tar");
        machine::run(&mut command(&bulkhead, &["save", "-o", &archive, IMAGE]))?;
        let mut stage = Self {
            floor: floor::build()?,
            bulkhead,
            podman: None,
            docker: None,
            dockerd: None,
            folder: folder.clone(),
        };
        stage.set_up_podman(&archive)?;
        stage.set_up_docker(&archive)?;
        Ok(stage)
    }

    fn set_up_podman(&mut self, archive: &str) -> Result<()> {
        if !machine::has("podman") {
            println!("stage: podman is not installed, so it is not compared with");
            return Ok(());
        }
        let path = |name: &str| self.folder.join(name).display().to_string();
        // crun of Debian 12 refuses a hybrid cgroup tree; where one is mounted podman is measured with runc.
        let hybrid = Path::new("/sys/fs/cgroup/unified").exists() && machine::has("runc");
        let runtime = if hybrid { "runc" } else { "crun" };
        let front = ["podman", "--runtime", runtime, "--cgroup-manager", "cgroupfs"];
        let podman = words(&[&front[..], &["--root", &path("podman"), "--runroot", &path("podman-run")]].concat());
        println!("stage: podman runs with {runtime}");
        machine::run(command(&podman, &["load", "-q", "-i", archive]).stdout(Stdio::null()))?;
        self.podman = Some(podman);
        Ok(())
    }

    fn set_up_docker(&mut self, archive: &str) -> Result<()> {
        if !machine::has("dockerd") {
            println!("stage: docker is not installed, so it is not compared with");
            return Ok(());
        }
        let path = |name: &str| self.folder.join(name).display().to_string();
        let socket = format!("unix://{}", path("docker.sock"));
        let log = std::fs::File::create(path("dockerd.log"))?;
        let mut dockerd = Command::new("dockerd");
        dockerd.args(["--data-root", &path("docker"), "--exec-root", &path("docker-run"), "-H", &socket]);
        dockerd.args(["--pidfile", &path("docker.pid"), "--bridge", "none", "--iptables=false", "--ip6tables=false"]);
        self.dockerd = Some(dockerd.stdout(log.try_clone()?).stderr(log).spawn()?);
        // The stock client of Debian's docker.io; another docker on the path may speak a newer API than the daemon.
        let client = if Path::new("/usr/bin/docker").exists() { "/usr/bin/docker" } else { "docker" };
        let docker = words(&[client, "-H", &socket]);
        wait_for(Duration::from_secs(40), "dockerd", || {
            command(&docker, &["version"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|s| s.success())
        })?;
        machine::run(command(&docker, &["load", "-q", "-i", archive]).stdout(Stdio::null()))?;
        self.docker = Some(docker);
        Ok(())
    }

    /// Ends what was started and removes the folder.
    pub fn tear_down(mut self) -> Result<()> {
        machine::run(&mut command(&self.bulkhead, &["system", "reset", "--force"]))?;
        if let Some(podman) = &self.podman {
            machine::run(command(podman, &["system", "reset", "-f"]).stdout(Stdio::null()).stderr(Stdio::null()))?;
        }
        if let Some(mut dockerd) = self.dockerd.take() {
            machine::run(Command::new("kill").arg(dockerd.id().to_string()))?;
            dockerd.wait()?;
        }
        machine::run(Command::new("rm").args(["-rf", "--one-file-system"]).arg(&self.folder))
    }
}

/// Polls until `done` or the time is up.
pub fn wait_for(time: Duration, what: &str, mut done: impl FnMut() -> bool) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < time {
        if done() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("{what} was not ready after {time:?}")
}

/// A registry on loopback with its own folder.
pub struct Registry {
    child: Child,
    /// `127.0.0.1:PORT`
    pub address: String,
}

impl Registry {
    /// Starts one.
    pub fn start(folder: &Path) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        drop(listener);
        let data = folder.join("registry");
        std::fs::create_dir_all(&data)?;
        let config = folder.join("registry.yml");
        std::fs::write(
            &config,
            format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
                data.display()
            ),
        )?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("docker-registry")?;
        wait_for(Duration::from_secs(20), "the registry", || std::net::TcpStream::connect(&address).is_ok())?;
        Ok(Self { child, address })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("xtask: the registry did not end: {error}");
        }
    }
}
