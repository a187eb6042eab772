//! A plan in words, for `bulkhead plan` and `inspect`.

use std::fmt::Write as _;

use crate::capability::Capability;
use crate::model::{IsolationPlan, Level, Limits, Mount, MountFlags, MountSource, Rlimit};
use crate::seccomp::{self, Verdict};

/// The whole plan for a person: what was conceded, what holds the container, its limits, what is mounted.
#[must_use]
pub fn explain(plan: &IsolationPlan) -> String {
    let sections = [
        ("Conceded", conceded(plan)),
        ("What holds it", walls(plan)),
        ("Limits", limits(plan)),
        ("Mounts, in order", plan.mounts.iter().map(mount).collect()),
        ("Settings", plan.sysctls.iter().map(|(name, value)| clean(&format!("{name} = {value}"))).collect()),
        ("Process", process(plan)),
    ];
    let mut text = String::new();
    for (title, lines) in sections.iter().filter(|(_, lines)| !lines.is_empty()) {
        // Writing to a String cannot fail.
        if writeln!(text, "{title}").is_err() {
            break;
        }
        for line in lines {
            text.push_str("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

/// A name in its column, and what is to be said about it.
fn line(name: &str, about: &str) -> String {
    format!("{:<19} {}", clean(name), clean(about))
}

/// What a user wrote must not be able to move the cursor.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn conceded(plan: &IsolationPlan) -> Vec<String> {
    if plan.concessions.is_empty() {
        return vec![format!("nothing: everything that level {} closes is closed", level(plan.level))];
    }
    plan.concessions.iter().map(|concession| line(&concession.title(), concession.consequence())).collect()
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Standard => "standard",
        Level::Hardened => "hardened",
    }
}

fn walls(plan: &IsolationPlan) -> Vec<String> {
    let ids: u64 = plan.ids.0.iter().map(|extent| u64::from(extent.count)).sum();
    let root = plan.ids.to_host(0).map_or_else(|_| "nobody".to_owned(), |id| id.to_string());
    let on_off = |on: bool, yes: &str, no: &str| (if on { yes } else { no }).to_owned();
    let privileges =
        on_off(plan.no_new_privs, "none can be gained: set-uid programs count for nothing", "can be gained");
    let root_files = on_off(plan.read_only_root, "read-only", "writable, in a layer of the container's own");
    let mut walls = vec![
        line("level", level(plan.level)),
        line("user namespace", &format!("root inside is host id {root}, one of {ids} ids that nobody else has")),
        line("nested namespaces", "user.max_user_namespaces is 0 inside, so no process can make a user namespace"),
        line("namespaces", &namespaces(plan)),
        line("capabilities", &capabilities(&plan.capabilities)),
        line("new privileges", &privileges),
        line("system calls", &filter(plan)),
        line("kernel files", &kernel_files(plan)),
        line("devices", &plan.devices.iter().map(|device| device.path.as_str()).collect::<Vec<_>>().join(" ")),
        line("root files", &root_files),
    ];
    if plan.init {
        walls.push(line("first process", "an init of the engine that reaps; the program is its child"));
    }
    walls
}

fn namespaces(plan: &IsolationPlan) -> String {
    let own = plan.namespaces;
    let all = [
        ("user", own.user),
        ("mount", own.mount),
        ("pid", own.pid),
        ("network", own.network),
        ("ipc", own.ipc),
        ("uts", own.uts),
        ("cgroup", own.cgroup),
        ("time", own.time),
    ];
    let named = |wanted: bool| all.iter().filter(|(_, own)| *own == wanted).map(|(name, _)| *name).collect::<Vec<_>>();
    match named(false).as_slice() {
        [] => format!("its own: {}", named(true).join(" ")),
        shared => format!("its own: {}; the host's: {}", named(true).join(" "), shared.join(" ")),
    }
}

fn capabilities(list: &[Capability]) -> String {
    let short = |capability: &Capability| capability.name().trim_start_matches("CAP_").to_owned();
    match list.len() {
        0 => "none".to_owned(),
        all if all == Capability::ALL.len() => "all, but only inside".to_owned(),
        some => {
            format!("{some} of {}: {}", Capability::ALL.len(), list.iter().map(short).collect::<Vec<_>>().join(" "))
        }
    }
}

fn filter(plan: &IsolationPlan) -> String {
    let Some(filter) = seccomp::filter_for(plan) else { return "not filtered".to_owned() };
    let allowing = filter.rules.iter().filter(|rule| rule.verdict == Verdict::Allow);
    let mut names: Vec<&str> = allowing.map(|rule| rule.call).collect();
    names.sort_unstable();
    names.dedup();
    let tested = |name: &&&str| filter.rules.iter().any(|rule| rule.call == **name && !rule.tests.is_empty());
    let looked_at: Vec<&str> = names.iter().filter(tested).copied().collect();
    format!("{} are allowed, everything else is refused; by their arguments: {}", names.len(), looked_at.join(" "))
}

fn kernel_files(plan: &IsolationPlan) -> String {
    if plan.masked_paths.is_empty() && plan.read_only_paths.is_empty() {
        return "only file permissions protect /proc and /sys".to_owned();
    }
    let read_only = plan.mounts.iter().filter(|mount| mount.flags.read_only && mount.target.starts_with("/sys"));
    let read_only = plan.read_only_paths.iter().chain(read_only.map(|mount| &mount.target));
    let read_only: Vec<&str> = read_only.map(String::as_str).collect();
    format!("{} are covered; read-only: {}", plan.masked_paths.len(), read_only.join(" "))
}

fn limits(plan: &IsolationPlan) -> Vec<String> {
    let limits = &plan.limits;
    let count = |value: Option<u64>| value.map_or_else(|| "no limit".to_owned(), |value| value.to_string());
    let size = |value: Option<u64>| value.map_or_else(|| "no limit".to_owned(), bytes);
    let mut lines = vec![
        line("memory", &format!("{} (--memory)", size(limits.memory))),
        line("swap", &format!("{} (--memory-swap)", size(limits.swap))),
        line("processes", &format!("{} processes and threads (--pids-limit)", count(limits.pids))),
    ];
    lines.extend(processor(limits));
    lines.extend(plan.process.rlimits.iter().map(rlimit));
    for throttle in &limits.throttle {
        let device = format!("disk {}:{}", throttle.major, throttle.minor);
        lines.push(line(&device, &format!("{:?} at most {} a second", throttle.kind, throttle.rate)));
    }
    if let Some(weight) = limits.blkio_weight {
        lines.push(line("disk weight", &weight.to_string()));
    }
    lines
}

fn processor(limits: &Limits) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(quota) = limits.cpu_quota {
        let period = limits.cpu_period.unwrap_or(100_000).max(1);
        lines.push(line("processors", &format!("{:.2} at most (--cpus)", quota as f64 / period as f64)));
    }
    if let Some(shares) = limits.cpu_shares {
        lines.push(line("processor shares", &format!("{shares}; others have 1024 (--cpu-shares)")));
    }
    let sets = [("processor set", &limits.cpuset_cpus), ("memory nodes", &limits.cpuset_mems)];
    lines.extend(sets.iter().filter_map(|(name, set)| set.as_ref().map(|set| line(name, set))));
    lines
}

fn rlimit(rlimit: &Rlimit) -> String {
    let value = |value: Option<u64>| value.map_or_else(|| "no limit".to_owned(), |value| value.to_string());
    let (soft, hard) = (value(rlimit.soft), value(rlimit.hard));
    let both = if soft == hard { soft } else { format!("{soft}, which may be raised to {hard}") };
    line(&format!("{} a process", rlimit.name), &format!("{both} (--ulimit {}=)", rlimit.name))
}

/// Powers of 1024, as people write limits.
fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    if value == 0 {
        return "none".to_owned();
    }
    let mut scaled = value as f64;
    let mut unit = 0;
    while scaled >= 1024.0 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(scaled.fract() >= 0.05 && unit > 0);
    format!("{scaled:.digits$} {}", UNITS.get(unit).unwrap_or(&"B"))
}

fn mount(mount: &Mount) -> String {
    let source = match &mount.source {
        MountSource::Handle { label, .. } => label.clone(),
        MountSource::Proc => "processes of its own namespace".to_owned(),
        MountSource::Sysfs => "sysfs of its own network".to_owned(),
        MountSource::Cgroup => "its own part of the cgroups".to_owned(),
        MountSource::Devpts => "terminals of its own".to_owned(),
        MountSource::Mqueue => "message queues of its own".to_owned(),
        MountSource::Dev => "devices made by the engine".to_owned(),
        MountSource::Tmpfs { size, inodes, .. } => format!("memory, at most {} and {inodes} files", bytes(*size)),
    };
    line(&mount.target, &format!("{source} ({})", flags(mount.flags)))
}

fn flags(flags: MountFlags) -> String {
    let named = [
        (flags.read_only, "ro", "rw"),
        (flags.nosuid, "nosuid", "suid"),
        (flags.nodev, "nodev", "dev"),
        (flags.noexec, "noexec", "exec"),
    ];
    named.map(|(set, yes, no)| if set { yes } else { no }).join(",")
}

fn process(plan: &IsolationPlan) -> Vec<String> {
    let process = &plan.process;
    let user = if process.user.is_empty() { "root (inside)" } else { &process.user };
    vec![
        line("program", &process.args.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ")),
        line("as", user),
        line("in", &process.cwd),
        line("host name", &plan.hostname),
        line("terminal", if process.terminal.is_some() { "one of its own" } else { "none" }),
    ]
}

#[cfg(test)]
mod tests {
    use bulkhead_types::IdRange;

    use super::*;
    use crate::model::Process;
    use crate::seal::{HostFacts, Wishes};

    fn text(change: impl FnOnce(&mut Wishes)) -> String {
        let mut wishes = Wishes {
            ids: IdRange { base: 0x7000_0000, count: 65_536 }.container_map(),
            hostname: "box".to_owned(),
            process: Process { args: vec!["true".to_owned()], cwd: "/".to_owned(), ..Process::default() },
            host: HostFacts { memory: 8 << 30, open_files: 524_288, processors: 2 },
            ..Wishes::default()
        };
        change(&mut wishes);
        explain(&IsolationPlan::sealed(wishes).unwrap())
    }

    #[test]
    fn a_closed_plan_says_so_first() {
        let text = text(|_| {});
        println!("{text}");
        assert!(text.starts_with("Conceded\n  nothing"));
        for part in
            ["host id 1879048192", "4 GiB (--memory)", "swap", "4096 processes", "8 of 41", "CHOWN", "/proc/sys"]
        {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn each_concession_is_a_sentence() {
        let text = text(|wishes| {
            wishes.privileged = true;
            wishes.host_uts = true;
            wishes.security_opts = vec!["seccomp=unconfined".to_owned()];
        });
        for part in
            ["no system call filter", "CAP_SYS_ADMIN", "writable kernel files", "not filtered", "the host's: uts"]
        {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn control_characters_are_not_printed() {
        let text = text(|wishes| wishes.host_paths = vec!["/a\x1b[2J\nConceded".to_owned()]);
        assert!(!text.contains('\x1b') && !text.contains("\nConceded"));
    }

    #[test]
    fn sizes_are_written_as_people_do() {
        assert_eq!((bytes(0).as_str(), bytes(64 << 20).as_str()), ("none", "64 MiB"));
        assert_eq!((bytes(1536).as_str(), bytes(u64::MAX).as_str()), ("1.5 KiB", "16777216 TiB"));
    }
}
