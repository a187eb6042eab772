//! Doors that are tried. Each attempt would change nothing, or only this process, if it were let through.

use std::fs::OpenOptions;
use std::os::fd::AsFd as _;

use rustix::fs::{CWD, FileType, Mode, mknodat, unlink};
use rustix::io::Errno;
use rustix::mount::{FsOpenFlags, MountFlags, fsopen, mount};
use rustix::net::{AddressFamily, Protocol, SocketType, socket};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, chroot, getpid, pidfd_getfd, pidfd_open};
use rustix::system::{finit_module, sethostname, uname};
use rustix::thread::{UnshareFlags, move_into_link_name_space};

use super::Finding;

/// All attempts; the one that changes this process last.
pub(super) fn attempt() -> Vec<Finding> {
    let mut findings = vec![
        write("/proc/sysrq-trigger", "opening it for writing"),
        write("/proc/sys/kernel/core_pattern", "opening it for writing"),
        family("AF_ALG socket", 38, SocketType::SEQPACKET),
        family("AF_PACKET socket", 17, SocketType::RAW),
        family("AF_VSOCK socket", 40, SocketType::STREAM),
        family("raw socket", 2, SocketType::RAW),
        mounting(),
        judged("fsopen(2)", "the mount interface", fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map(drop)),
        judged("chroot(2)", "changing the root to itself", chroot("/")),
        node(),
        module(),
        descriptor(),
        host_name(),
        own_namespace(),
    ];
    findings.push(user_namespace());
    findings
}

/// Refused is held, whatever the kernel calls it.
fn judged(wall: &'static str, what: &str, result: Result<(), Errno>) -> Finding {
    match result {
        Ok(()) => Finding::new(wall, false, format!("{what} is let through")),
        Err(errno) => Finding::new(wall, true, format!("{what} is refused: {}", words(errno))),
    }
}

fn words(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// Opened, never written to.
fn write(path: &'static str, what: &str) -> Finding {
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => Finding::new(path, false, format!("{what} is let through")),
        Err(error) => {
            let errno = error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
            judged(path, what, Err(errno))
        }
    }
}

fn family(wall: &'static str, number: u16, kind: SocketType) -> Finding {
    let protocol: Option<Protocol> = (number == 2).then_some(rustix::net::ipproto::ICMP);
    judged(wall, "making one", socket(AddressFamily::from_raw(number), kind, protocol).map(drop))
}

/// A file system type that does not exist: whoever may mount is told so.
fn mounting() -> Finding {
    let result = mount("none", "/", "no-such-file-system", MountFlags::empty(), None);
    match result {
        Err(Errno::NODEV) => Finding::new("mount(2)", false, "mounting is let through"),
        other => judged("mount(2)", "mounting", other),
    }
}

/// The node of the machine's memory, removed again at once.
fn node() -> Finding {
    const PATH: &str = "/dev/.walls-probe";
    let result = mknodat(CWD, PATH, FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(1, 1));
    let finding = judged("mknod(2)", "making a node of the machine's memory", result);
    if result.is_ok() && unlink(PATH).is_err() {
        return Finding::new("mknod(2)", false, format!("{PATH} could be made and could not be removed"));
    }
    finding
}

/// `/dev/null` is no module: whoever may load one is told so.
fn module() -> Finding {
    const WALL: &str = "kernel modules";
    let Ok(file) = std::fs::File::open("/dev/null") else { return Finding::unseen(WALL, "there is no /dev/null") };
    match finit_module(&file, c"", 0) {
        Err(errno @ (Errno::PERM | Errno::NOSYS | Errno::ACCESS)) => judged(WALL, "loading one", Err(errno)),
        _ => Finding::new(WALL, false, "loading one is let through"),
    }
}

/// Its own descriptor out of its own process.
fn descriptor() -> Finding {
    let result = pidfd_open(getpid(), PidfdFlags::empty())
        .and_then(|process| pidfd_getfd(process, 0, PidfdGetfdFlags::empty()))
        .map(drop);
    judged("pidfd_getfd(2)", "taking descriptors from processes", result)
}

/// To what it is already.
fn host_name() -> Finding {
    let name = uname().nodename().to_owned();
    judged("sethostname(2)", "setting the host name", sethostname(name.to_bytes()))
}

/// The one that it is in already.
fn own_namespace() -> Finding {
    const WALL: &str = "setns(2)";
    let Ok(namespace) = std::fs::File::open("/proc/self/ns/uts") else {
        return Finding::unseen(WALL, "/proc/self/ns/uts cannot be opened");
    };
    judged(WALL, "entering namespaces", move_into_link_name_space(namespace.as_fd(), None))
}

fn user_namespace() -> Finding {
    // Deprecated because of `CLONE_FILES`, which is not asked for.
    #[allow(deprecated)]
    let result = rustix::thread::unshare(UnshareFlags::NEWUSER);
    match result {
        // Only said behind every permission check: this process has several threads.
        Err(Errno::INVAL) => Finding::unseen("unshare(2)", "it cannot be tried with several threads"),
        other => judged("unshare(2)", "making a user namespace", other),
    }
}
