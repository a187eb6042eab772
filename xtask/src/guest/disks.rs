//! The guest's kernel, its first file system and its two disks.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::suites::{Boot, Suite};
use crate::machine;

/// Modules that the initramfs loads: disks first, then what containers and tests need.
const MODULES: &[&str] = &[
    "crc32c_generic",
    "xxhash_generic",
    "virtio_pci",
    "virtio_blk",
    "virtio_rng",
    "ext4",
    "loop",
    "overlay",
    "erofs",
    "fuse",
    "veth",
    "tun",
    "xfs",
    "btrfs",
    "nf_tables",
    "bridge",
];

/// Debian packages of the guest's root beyond the smallest.
const PACKAGES: &str = "systemd-sysv,dbus,dbus-user-session,libpam-systemd,uidmap,kmod,iproute2,procps,util-linux,\
                        e2fsprogs,strace,python3-minimal,apparmor";

/// What all boots share.
#[derive(Debug)]
pub struct Parts {
    pub folder: PathBuf,
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    pub root: PathBuf,
    /// Test programs by package and target.
    tests: Vec<((String, String), PathBuf)>,
}

/// Makes what is missing. The kernel and the root are kept between runs, the programs are built anew.
pub fn prepare(suites: &[&Suite]) -> Result<Parts> {
    let folder = super::folder();
    std::fs::create_dir_all(&folder)?;
    let (kernel, modules) = kernel(&folder)?;
    let initramfs = initramfs(&folder, &modules)?;
    let root = root(&folder, &modules)?;
    let tests = build(suites)?;
    Ok(Parts { folder, kernel, initramfs, root, tests })
}

fn shell(folder: &Path, script: &str) -> Result<()> {
    machine::run(Command::new("sh").current_dir(folder).args(["-euc", script]).stdout(Stdio::null()))
}

/// Debian's kernel, unpacked and not installed: its image and its modules.
fn kernel(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let unpacked = folder.join("kernel");
    if !unpacked.join("done").exists() {
        eprintln!("xtask: fetching Debian's kernel with apt-get (not installed, only unpacked)");
        shell(
            folder,
            "rm -rf kernel kernel-*.deb linux-image-*.deb
             name=$(apt-cache depends linux-image-amd64 | awk '/Depends:/ {print $2; exit}')
             [ -n \"$name\" ] || { apt-get update -qq; name=$(apt-cache depends linux-image-amd64 | awk '/Depends:/ {print $2; exit}'); }
             apt-get download -qq \"$name\" || { apt-get update -qq; apt-get download -qq \"$name\"; }
             dpkg-deb -x linux-image-*.deb kernel && rm linux-image-*.deb && touch kernel/done",
        )?;
    }
    let found = |folder: &str, start: &str| -> Result<PathBuf> {
        let mut entries = std::fs::read_dir(unpacked.join(folder))?.flatten().map(|entry| entry.path());
        let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start));
        entries.find(named).with_context(|| format!("Debian's kernel package has no {folder}/{start}…"))
    };
    Ok((found("boot", "vmlinuz-")?, found("lib/modules", "")?))
}

/// Files of the wanted modules and of what they depend on, in the order in which they can be loaded.
fn module_files(modules: &Path) -> Result<Vec<String>> {
    let depends = machine::output(Command::new("sh").args([
        "-euc",
        "PATH=$PATH:/usr/sbin:/sbin depmod -b \"$1\" \"$2\" && cat \"$1/lib/modules/$2/modules.dep\"",
        "sh",
        &modules.ancestors().nth(3).unwrap_or(modules).display().to_string(),
        &modules.file_name().unwrap_or_default().to_string_lossy(),
    ]))?;
    let mut order: Vec<String> = Vec::new();
    for module in MODULES {
        let file = |path: &str| path.rsplit('/').next() == Some(&format!("{}.ko", module.replace('-', "_")));
        // Built-in ones have no file.
        let Some((path, needs)) = depends.lines().filter_map(|line| line.split_once(':')).find(|(path, _)| file(path))
        else {
            continue;
        };
        let needs: Vec<&str> = needs.split_whitespace().collect();
        for one in needs.iter().rev().copied().chain([path]) {
            if !order.iter().any(|known| known == one) {
                order.push(one.to_owned());
            }
        }
    }
    Ok(order)
}

fn initramfs(folder: &Path, modules: &Path) -> Result<PathBuf> {
    let tree = folder.join("initramfs");
    if tree.exists() {
        std::fs::remove_dir_all(&tree)?;
    }
    for name in ["bin", "proc", "sys", "dev", "root", "modules"] {
        std::fs::create_dir_all(tree.join(name))?;
    }
    std::fs::copy("/bin/busybox", tree.join("bin/busybox"))?;
    let mut order = String::new();
    for path in module_files(modules)? {
        let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
        std::fs::copy(modules.join(&path), tree.join("modules").join(&name))?;
        writeln!(order, "{name}")?;
    }
    std::fs::write(tree.join("modules/order"), order)?;
    executable(&tree.join("init"), include_str!("initramfs.sh"))?;
    shell(folder, "cd initramfs && find . | cpio --quiet -o -H newc | gzip -1 > ../initramfs.gz")?;
    Ok(folder.join("initramfs.gz"))
}

/// The Debian root as a disk. The packages' list is part of its name, so that a changed list makes a new one.
fn root(folder: &Path, modules: &Path) -> Result<PathBuf> {
    let version = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let recipe = format!("{version}\n{PACKAGES}\n{}", include_str!("unit.service"));
    let disk = folder.join("root.ext4");
    if disk.exists() && std::fs::read_to_string(folder.join("root.recipe")).is_ok_and(|known| known == recipe) {
        return Ok(disk);
    }
    eprintln!("xtask: making the guest's Debian root with mmdebstrap");
    let script = format!(
        "rm -rf root root.ext4 root.recipe
         mmdebstrap --quiet --variant=minbase --include={PACKAGES} bookworm root
         mkdir -p root/bulkhead root/lib/modules root/etc/systemd/system/multi-user.target.wants
         cp -a kernel/lib/modules/{version} root/lib/modules/
         useradd --root \"$PWD/root\" --create-home --shell /bin/bash person
         ln -s /etc/systemd/system/bulkhead.service root/etc/systemd/system/multi-user.target.wants/bulkhead.service"
    );
    shell(folder, &script)?;
    std::fs::write(folder.join("root/etc/systemd/system/bulkhead.service"), include_str!("unit.service"))?;
    shell(folder, "mke2fs -q -t ext4 -d root -L root root.ext4 6G && rm -rf root")?;
    std::fs::write(folder.join("root.recipe"), recipe)?;
    Ok(disk)
}

/// Builds the test programs of these suites.
fn build(suites: &[&Suite]) -> Result<Vec<((String, String), PathBuf)>> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(machine::root()).args(["test", "--locked", "--quiet", "--no-run", "--message-format=json"]);
    let packages: BTreeSet<&str> = suites.iter().map(|suite| suite.test.0).collect();
    for package in &packages {
        cargo.args(["-p", package]);
    }
    let text = machine::output(&mut cargo)?;
    let mut found = Vec::new();
    for line in text.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let (Some(program), true) = (message["executable"].as_str(), message["profile"]["test"] == true) else {
            continue;
        };
        let package = message["package_id"].as_str().unwrap_or_default();
        let Some(package) = packages.iter().find(|name| {
            package.contains(&format!("/{}#", short(name)))
                || package.contains(&format!("#{name}@"))
                || package.contains(&format!("/{}#", name))
        }) else {
            continue;
        };
        let kinds = message["target"]["kind"].to_string();
        let target = if kinds.contains("\"lib\"") || kinds.contains("\"bin\"") {
            "lib".to_owned()
        } else {
            message["target"]["name"].as_str().unwrap_or_default().to_owned()
        };
        found.push((((*package).to_owned(), target), PathBuf::from(program)));
    }
    Ok(found)
}

/// The folder of a room's package.
fn short(package: &str) -> &str {
    package.strip_prefix("bulkhead-").unwrap_or(package)
}

/// The disk with the programs and the list of jobs of one boot.
pub fn jobs(parts: &Parts, boot: Boot, suites: &[&Suite]) -> Result<PathBuf> {
    let tree = parts.folder.join(format!("jobs-{}", boot.name()));
    if tree.exists() {
        std::fs::remove_dir_all(&tree)?;
    }
    std::fs::create_dir_all(tree.join("bin"))?;
    let outside = suites.iter().any(|suite| suite.test.0 == "bulkhead-tests");
    let mut script = String::from(include_str!("jobs.sh"));
    if outside {
        shipped(&tree)?;
    }
    for suite in suites {
        let wanted = (suite.test.0.to_owned(), suite.test.1.to_owned());
        let program = parts.tests.iter().find(|(test, _)| *test == wanted);
        let Some((_, program)) = program else { bail!("no test program for {}", suite.title()) };
        let name = format!("{}-{}", suite.test.0, suite.test.1);
        machine::run(Command::new("strip").arg("-o").arg(tree.join("bin").join(&name)).arg(program))?;
        writeln!(script, "job {} {} {name} {}", suite.name, suite.must, suite.words)?;
    }
    script.push_str("echo @@done\n");
    executable(&tree.join("jobs"), &script)?;
    executable(&tree.join("init"), include_str!("init.sh"))?;
    let disk = parts.folder.join(format!("jobs-{}.ext4", boot.name()));
    let make = format!("rm -f {0} && mke2fs -q -t ext4 -m 0 -d {1} {0} 3G", disk.display(), tree.display());
    shell(&parts.folder, &make)?;
    std::fs::remove_dir_all(&tree)?;
    Ok(disk)
}

/// The shipped programs and the Debian image that the outside tests run.
fn shipped(tree: &Path) -> Result<()> {
    let program = machine::build("release")?;
    let folder = program.parent().context("the program is in a folder")?;
    for entry in std::fs::read_dir(folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("bulkhead") && !name.contains('.') {
            std::fs::copy(entry.path(), tree.join("bin").join(&name))?;
        }
    }
    let home = machine::root().join("target/test-home");
    let bulkhead = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("--root").arg(home.join("root")).arg("--run-root").arg(home.join("run")).args(words);
        command
    };
    if machine::output(bulkhead(&["image", "inspect", "debian:bookworm"]).stderr(Stdio::null())).is_err() {
        machine::run(&mut bulkhead(&["image", "base", "debian", "bookworm"]))?;
    }
    let tar = tree.join("debian.tar").display().to_string();
    machine::run(&mut bulkhead(&["save", "-o", &tar, "debian:bookworm"]))?;
    machine::run(&mut bulkhead(&["system", "release"]))
}

fn executable(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}
