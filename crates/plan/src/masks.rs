//! Paths that are covered or made read-only (walls.md measure 9), as data with a reason each.
//!
//! In its own user namespace the container does not own these files, so file permissions hold already; covering them is
//! the second wall, and the only one against reading. A path that this kernel does not have is skipped.

/// Covered at every level: path and why.
pub const MASKED: &[(&str, &str)] = &[
    ("/proc/acpi", "switches hardware"),
    ("/proc/asound", "tells about the host's sound hardware and who uses it"),
    ("/proc/bus", "raw access to PCI and input devices"),
    ("/proc/config.gz", "tells which kernel options, and so which holes, exist"),
    ("/proc/driver", "driver interfaces of the host"),
    ("/proc/dynamic_debug", "controls kernel messages"),
    ("/proc/fs", "controls of ext4, xfs, nfs of the host"),
    ("/proc/interrupts", "counts keystrokes and packets of neighbours (side channel)"),
    ("/proc/iomem", "physical addresses"),
    ("/proc/ioports", "hardware addresses"),
    ("/proc/irq", "steers interrupts"),
    ("/proc/kallsyms", "kernel addresses"),
    ("/proc/kcore", "the kernel's memory"),
    ("/proc/key-users", "keys of all users"),
    ("/proc/keys", "keys of the host (CVE-2016-0728's neighbourhood)"),
    ("/proc/kmsg", "the host's kernel messages"),
    ("/proc/kpagecgroup", "page flags by physical address"),
    ("/proc/kpagecount", "page flags by physical address"),
    ("/proc/kpageflags", "page flags by physical address"),
    ("/proc/latency_stats", "kernel addresses"),
    ("/proc/modules", "tells which modules, and so which holes, exist"),
    ("/proc/pagetypeinfo", "helps to shape the kernel's heap"),
    ("/proc/sched_debug", "processes of the whole host"),
    ("/proc/pressure", "how busy the whole host is, and triggers that anyone may set (CVE-2022-2938)"),
    ("/proc/scsi", "can remove disks (CVE-2017-16539)"),
    ("/proc/slabinfo", "helps to shape the kernel's heap"),
    ("/proc/softirqs", "side channel, see interrupts"),
    ("/proc/sysrq-trigger", "crashes or reboots the host"),
    ("/proc/sys/fs/binfmt_misc", "an interpreter registered here runs for the whole host (CVE-2019-5736's cousins)"),
    ("/proc/timer_list", "processes of the whole host and kernel addresses"),
    ("/proc/timer_stats", "processes of the whole host"),
    ("/proc/vmallocinfo", "kernel addresses"),
    ("/sys/class/thermal", "side channel by temperature"),
    ("/sys/devices/virtual/dmi", "serial numbers of the machine"),
    ("/sys/devices/virtual/powercap", "side channel by power (PLATYPUS, CVE-2020-8694)"),
    ("/sys/firmware", "firmware variables and tables"),
    ("/sys/fs/bpf", "pinned programs of the host"),
    ("/sys/fs/pstore", "crash messages of the host"),
    ("/sys/fs/selinux", "policy of the host"),
    ("/sys/kernel/btf", "offsets that an exploit needs"),
    ("/sys/kernel/debug", "interfaces for debugging only"),
    ("/sys/kernel/notes", "kernel addresses (CVE-2024-26816)"),
    ("/sys/kernel/security", "policy of the host's security modules"),
    ("/sys/kernel/slab", "helps to shape the kernel's heap"),
    ("/sys/kernel/tracing", "traces the whole host"),
    ("/sys/module", "tells which modules, and so which holes, exist"),
];

/// Covered at level hardened too.
pub const HARDENED_MASKED: &[(&str, &str)] = &[
    ("/proc/buddyinfo", "helps to shape the kernel's heap"),
    ("/proc/cmdline", "options of the host's kernel"),
    ("/proc/diskstats", "what neighbours write (side channel)"),
    ("/proc/partitions", "disks of the host"),
    ("/proc/version_signature", "which kernel exactly"),
    ("/proc/zoneinfo", "helps to shape the kernel's heap"),
    ("/sys/block", "disks of the host"),
    ("/sys/bus", "hardware of the host"),
    ("/sys/devices/pci0000:00", "hardware of the host"),
    ("/sys/hypervisor", "tells about the machine below"),
    ("/sys/power", "puts the machine to sleep"),
];

/// Bound onto themselves read-only at every level.
pub const READ_ONLY: &[(&str, &str)] = &[("/proc/sys", "settings of the kernel: what is not namespaced is the host's")];

/// Covered for each processor of the host: side channel by temperature (Docker does so too).
#[must_use]
pub fn thermal_throttle(processor: u32) -> String {
    format!("/sys/devices/system/cpu/cpu{processor}/thermal_throttle")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_absolute_and_reasoned() {
        for list in [MASKED, HARDENED_MASKED, READ_ONLY] {
            for (path, why) in list {
                assert!(path.starts_with("/proc/") || path.starts_with("/sys/"), "{path}");
                assert!(!path.contains("//") && !path.contains("..") && !why.is_empty());
            }
        }
        // The mask of binfmt_misc lies below the read-only path and must come after no other mask of /proc/sys.
        assert!(!MASKED.iter().any(|(path, _)| *path == "/proc/sys"));
    }
}
