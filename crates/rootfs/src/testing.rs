//! What the tests of this room share: a store in a temporary directory that is taken down completely.

use std::path::{Path, PathBuf};

use crate::Store;
use crate::place::Place;

/// A temporary store. Unmounts its layers when dropped.
pub struct Site {
    dir: tempfile::TempDir,
}

/// A new one.
pub fn site() -> Site {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    for name in ["root", "run"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    Site { dir }
}

impl Site {
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }
    pub fn run(&self) -> PathBuf {
        self.dir.path().join("run")
    }
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
    pub fn place(&self) -> Place {
        Place::open(&self.root(), &self.run()).unwrap()
    }
    pub fn store(&self) -> Store {
        Store::open(&self.root(), &self.run()).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Ok(store) = Store::open(&self.root(), &self.run()) {
            store.release().unwrap();
        }
    }
}

/// True if the test may go on: it needs root.
pub fn root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        let demanded = std::env::var("BULKHEAD_MUST_RUN").unwrap_or_default();
        assert!(!demanded.split(',').any(|word| word == "root"), "BULKHEAD_MUST_RUN demands root");
        println!("skipped: needs root");
    }
    is_root
}

/// How a test's layers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Erofs,
    Directory,
}

/// Builds layers by hand, so that the overlay can be tested without the layer conversion.
impl Site {
    /// Takes what `fill` puts into a fresh directory as the layer of the returned diff id.
    pub fn layer(&self, kept: Kept, seed: u8, fill: impl FnOnce(&Path)) -> bulkhead_types::Digest {
        let digest = bulkhead_types::Digest::from_bytes(bulkhead_types::Algorithm::Sha256, &[seed; 32]).unwrap();
        drop(self.place().dir("layers").unwrap());
        let layers = self.root().join("layers");
        let tree = match kept {
            Kept::Erofs => self.path().join(format!("tree{seed}")),
            Kept::Directory => layers.join(digest.hex()),
        };
        std::fs::create_dir(&tree).unwrap();
        fill(&tree);
        if kept == Kept::Erofs {
            let image = layers.join(format!("{}.erofs", digest.hex()));
            let made = std::process::Command::new("mkfs.erofs").arg("--quiet").arg(&image).arg(&tree).output().unwrap();
            assert!(made.status.success(), "mkfs.erofs: {}", String::from_utf8_lossy(&made.stderr));
        }
        digest
    }
}

/// Runs a shell script as root of a container with these ids whose root directory is `root`, seen through a fresh user
/// and mount namespace. Returns its output, standard error included.
pub fn inside(root: &std::os::fd::OwnedFd, range: bulkhead_types::IdRange, script: &str) -> String {
    use std::os::fd::AsFd as _;
    let point = tempfile::tempdir().unwrap();
    let target = std::fs::File::open(point.path()).unwrap();
    let copy = bulkhead_sys::mount::clone_tree(root.as_fd(), "", true).unwrap();
    bulkhead_sys::mount::attach(copy.as_fd(), target.as_fd()).unwrap();
    let mut keeper = Keeper::new(&range.container_map().to_proc());
    let user = format!("--user=/proc/{}/ns/user", keeper.0.id());
    let output = std::process::Command::new("nsenter")
        .args([&user, "--setuid=0", "--setgid=0", "sh", "-c", script])
        .current_dir(point.path())
        .output()
        .unwrap();
    keeper.0.kill().unwrap();
    keeper.0.wait().unwrap();
    bulkhead_sys::mount::unmount(point.path(), true).unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A process that lives in a user namespace with this map.
struct Keeper(std::process::Child);

impl Keeper {
    fn new(map: &str) -> Self {
        let child = std::process::Command::new("unshare").args(["--user", "sleep", "60"]).spawn().unwrap();
        let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
        while namespace(&child.id().to_string()) == namespace("self") {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        for file in ["uid_map", "gid_map"] {
            std::fs::write(format!("/proc/{}/{file}", child.id()), map).unwrap();
        }
        Self(child)
    }
}
