//! What the host has.

use std::path::Path;

/// Bytes of memory; 0 if it cannot be read.
pub(crate) fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    // The field's type differs between processors.
    #[allow(clippy::useless_conversion)]
    u64::try_from(info.totalram).unwrap_or(0).saturating_mul(u64::from(info.mem_unit))
}

/// Processors online.
pub(crate) fn processors() -> u64 {
    std::thread::available_parallelism().map_or(1, |count| u64::try_from(count.get()).unwrap_or(1))
}

/// Hard limit of open files of this process; `u64::MAX` for none.
pub(crate) fn open_files() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Processors that the kernel has directories for; 0 if it does not say.
pub(crate) fn possible_processors() -> u32 {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = text.trim().rsplit(['-', ',']).next().and_then(|number| number.parse::<u32>().ok());
    last.map_or(0, |last| last + 1)
}

/// The host's name.
pub(crate) fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Version of the running kernel.
pub(crate) fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// `PRETTY_NAME` of the distribution.
pub(crate) fn distribution() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    line.map_or_else(|| "Linux".into(), |name| name.trim_matches('"').to_owned())
}

/// True if all resource controls are in one tree.
pub(crate) fn has_unified_cgroups() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// True for the host's root (or the root of the engine's own user namespace).
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
