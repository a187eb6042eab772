//! What the kernel tells about this process, without touching anything.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::Finding;

/// Everything that can be read off `/proc`, `/sys` and `/dev`.
pub(super) fn look() -> Vec<Finding> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    };
    let mut findings = vec![user_namespace()];
    findings.extend(namespaces());
    findings.push(processes());
    findings.push(interfaces());
    findings.push(capabilities("capabilities", field("CapEff"), "root here may"));
    findings.push(capabilities("capability bound", field("CapBnd"), "set-uid programs may at most"));
    findings.push(number("new privileges", field("NoNewPrivs"), "1", "none can be gained", "set-uid programs count"));
    findings.push(number("system call filter", field("Seccomp"), "2", "in force", "every system call is let through"));
    findings.push(nested());
    findings.extend(["/proc/sys", "/sys", "/sys/fs/cgroup"].map(read_only));
    findings.extend(MASKED.iter().map(|(path, what)| masked(path, what)));
    findings.push(devices());
    findings.extend(limits());
    findings
}

fn user_namespace() -> Finding {
    const WALL: &str = "user namespace";
    let Ok(map) = fs::read_to_string("/proc/self/uid_map") else {
        return Finding::unseen(WALL, "/proc/self/uid_map cannot be read");
    };
    let mut first = map.lines().next().unwrap_or_default().split_whitespace();
    let outside = first.nth(1).unwrap_or("0").to_owned();
    let count = map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum::<u64>();
    match outside.as_str() {
        "0" => Finding::new(WALL, false, "root here is root outside"),
        _ => Finding::new(WALL, true, format!("root here is user {outside} outside, one of {count} ids")),
    }
}

/// Inode numbers of the machine's first namespaces (`linux/nsfs.h`); those of network and mount are fixed since 6.18.
const FIRST: &[(&str, u64, &str)] = &[
    ("pid", 4_026_531_836, "process namespace"),
    ("net", 4_026_531_833, "network namespace"),
    ("mnt", 4_026_531_832, "mount namespace"),
    ("ipc", 4_026_531_839, "ipc namespace"),
    ("uts", 4_026_531_838, "host name namespace"),
    ("cgroup", 4_026_531_835, "cgroup namespace"),
    ("time", 4_026_531_834, "time namespace"),
];

fn namespaces() -> Vec<Finding> {
    let look = |&(name, first, wall): &(&str, u64, &'static str)| match fs::metadata(format!("/proc/self/ns/{name}")) {
        Ok(found) if found.ino() == first => Finding::new(wall, false, "it is the machine's"),
        Ok(_) => Finding::new(wall, true, "its own"),
        Err(_) => Finding::unseen(wall, format!("/proc/self/ns/{name} cannot be read")),
    };
    FIRST.iter().map(look).collect()
}

/// The kernel's own threads are only visible in the machine's process namespace.
fn processes() -> Finding {
    const WALL: &str = "processes of others";
    let Ok(entries) = fs::read_dir("/proc") else { return Finding::unseen(WALL, "/proc cannot be read") };
    let is_process = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let seen = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_process)).count();
    let kernel = fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd");
    let noun = if seen == 1 { "process" } else { "processes" };
    Finding::new(WALL, !kernel, format!("{seen} {noun} can be seen, process {} is this one", std::process::id()))
}

fn interfaces() -> Finding {
    const WALL: &str = "network interfaces";
    let Ok(table) = fs::read_to_string("/proc/self/net/dev") else {
        return Finding::unseen(WALL, "/proc/self/net/dev cannot be read");
    };
    let names: Vec<&str> = table.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    // These settings are shown in the machine's network namespace only.
    let first = Path::new("/proc/sys/net/core/dev_weight").exists();
    let shown = if names.is_empty() { "none".to_owned() } else { names.join(" ") };
    Finding::new(WALL, !first, format!("to be seen: {shown}"))
}

/// Bits of `linux/capability.h`, by number.
const CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What level standard leaves.
const HARMLESS: &[&str] =
    &["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "NET_BIND_SERVICE"];

fn capabilities(wall: &'static str, hex: Option<String>, who: &str) -> Finding {
    let Some(bits) = hex.and_then(|hex| u64::from_str_radix(&hex, 16).ok()) else {
        return Finding::unseen(wall, "/proc/self/status does not say");
    };
    let names: Vec<&str> = (0..64).zip(CAPABILITIES).filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, n)| *n).collect();
    let beyond: Vec<&str> = names.iter().filter(|name| !HARMLESS.contains(name)).copied().collect();
    match (names.len(), beyond.len()) {
        (0, _) => Finding::new(wall, true, "none"),
        (_, 0) => Finding::new(wall, true, format!("{who} {}", names.join(" "))),
        (_, many) if many > 8 => Finding::new(wall, false, format!("{many} beyond the short list")),
        _ => Finding::new(wall, false, format!("beyond the short list: {}", beyond.join(" "))),
    }
}

fn number(wall: &'static str, found: Option<String>, wanted: &str, yes: &str, no: &str) -> Finding {
    match found {
        Some(value) if value == wanted => Finding::new(wall, true, yes),
        Some(_) => Finding::new(wall, false, no),
        None => Finding::unseen(wall, "/proc/self/status does not say"),
    }
}

fn nested() -> Finding {
    const WALL: &str = "nested namespaces";
    match fs::read_to_string("/proc/sys/user/max_user_namespaces") {
        Ok(text) if text.trim() == "0" => Finding::new(WALL, true, "user.max_user_namespaces is 0"),
        Ok(text) => Finding::new(WALL, false, format!("{} user namespaces may be made", text.trim())),
        Err(_) => Finding::unseen(WALL, "user.max_user_namespaces cannot be read"),
    }
}

fn read_only(path: &'static str) -> Finding {
    match statvfs(path) {
        Ok(found) if found.f_flag.contains(StatVfsMountFlags::RDONLY) => Finding::new(path, true, "read-only"),
        Ok(_) if !Path::new(path).read_dir().is_ok_and(|mut entries| entries.next().is_some()) => {
            Finding::new(path, true, "empty")
        }
        Ok(_) => Finding::new(path, false, "mounted writable"),
        Err(_) => Finding::new(path, true, "not there"),
    }
}

/// Samples of what is covered.
const MASKED: &[(&str, &str)] = &[
    ("/proc/kcore", "the kernel's memory"),
    ("/proc/keys", "keys"),
    ("/proc/timer_list", "processes of the whole machine"),
    ("/proc/kallsyms", "kernel addresses"),
    ("/proc/interrupts", "what neighbours type and send"),
    ("/sys/firmware", "firmware tables"),
    ("/sys/kernel/security", "security policy"),
    ("/sys/module", "kernel modules"),
];

fn masked(path: &'static str, what: &str) -> Finding {
    let covered = || Finding::new(path, true, format!("nothing to be read ({what})"));
    let Ok(found) = fs::metadata(path) else { return covered() };
    let empty = if found.is_dir() {
        fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
    } else {
        let mut byte = [0];
        !fs::File::open(path).and_then(|mut file| file.read(&mut byte)).is_ok_and(|count| count > 0)
    };
    if empty { covered() } else { Finding::new(path, false, format!("can be read ({what})")) }
}

/// The nodes that every program may expect, and terminals.
const NODES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"];

fn devices() -> Finding {
    const WALL: &str = "devices";
    let Ok(entries) = fs::read_dir("/dev") else { return Finding::new(WALL, true, "there is no /dev") };
    let mut extra = Vec::new();
    let mut known = 0;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Not the directory entry's type: a node may be mounted over a plain file.
        let kind = fs::symlink_metadata(entry.path()).map(|found| found.file_type());
        let is_node = kind.is_ok_and(|kind| kind.is_char_device() || kind.is_block_device());
        match (is_node, NODES.contains(&name.as_str())) {
            (true, true) => known += 1,
            (true, false) => extra.push(name),
            (false, _) => {}
        }
    }
    extra.sort();
    match extra.len() {
        0 => Finding::new(WALL, true, format!("{known}, none of which is hardware")),
        many if many > 8 => Finding::new(WALL, false, format!("{many} of the machine's")),
        _ => Finding::new(WALL, false, extra.join(" ")),
    }
}

fn limits() -> Vec<Finding> {
    // Version 2, then version 1, each with the group as root of its namespace.
    let places = [
        ("memory limit", ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]),
        ("process limit", ["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"]),
    ];
    let mut findings: Vec<Finding> = places.iter().map(|(wall, files)| limit(wall, files)).collect();
    let rlimits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let core = rlimits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    let hard = core.and_then(|rest| rest.split_whitespace().nth(1));
    findings.push(match hard {
        Some("0") => Finding::new("core dumps", true, "none are written"),
        Some(_) => Finding::new("core dumps", false, "a crash reaches the machine's handler"),
        None => Finding::unseen("core dumps", "/proc/self/limits does not say"),
    });
    findings
}

fn limit(wall: &'static str, files: &[&str]) -> Finding {
    let Some(text) = files.iter().find_map(|file| fs::read_to_string(file).ok()) else {
        return Finding::unseen(wall, "the control group is not visible from here");
    };
    let text = text.trim();
    // Version 1 says "no limit" as the largest multiple of a page.
    match text.parse::<u64>() {
        Ok(value) if value < 1 << 62 => Finding::new(wall, true, value.to_string()),
        _ => Finding::new(wall, false, "none"),
    }
}
