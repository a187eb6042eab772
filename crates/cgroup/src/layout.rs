//! Which hierarchies this host has: read from `/proc/self/mountinfo` once a group is made or opened. Bounded, because
//! the file grows with every mount of every container.

use std::io::Read as _;

use bulkhead_types::ErrorClass;

use crate::error::Error;

/// More than any host has; 16 MiB are about 100,000 mounts.
const LONGEST_MOUNTINFO: u64 = 16 << 20;

/// A controller that this room uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Controller {
    Cpu = 1,
    Cpuacct = 2,
    Cpuset = 4,
    Memory = 8,
    Devices = 16,
    Freezer = 32,
    /// `io` on version 2.
    Blkio = 64,
    Pids = 128,
}

impl Controller {
    const ALL: [Self; 8] =
        [Self::Cpu, Self::Cpuacct, Self::Cpuset, Self::Memory, Self::Devices, Self::Freezer, Self::Blkio, Self::Pids];

    /// The kernel's name on version 1.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Memory => "memory",
            Self::Devices => "devices",
            Self::Freezer => "freezer",
            Self::Blkio => "blkio",
            Self::Pids => "pids",
        }
    }
}

/// A set of controllers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Controllers(u16);

impl Controllers {
    pub(crate) const fn has(self, controller: Controller) -> bool {
        self.0 & controller as u16 != 0
    }

    pub(crate) const fn with(self, controller: Controller) -> Self {
        Self(self.0 | controller as u16)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True if it holds this one and no other.
    pub(crate) const fn is_only(self, controller: Controller) -> bool {
        self.0 == controller as u16
    }

    /// From version 1's mount options (`rw,cpu,cpuacct`).
    fn from_options(options: &str) -> Self {
        let mut set = Self::default();
        for word in options.split(',') {
            if let Some(&controller) = Controller::ALL.iter().find(|controller| controller.name() == word) {
                set = set.with(controller);
            }
        }
        set
    }

    /// From version 2's `cgroup.controllers` (`cpuset cpu io memory pids`). Version 2 counts processor time and freezes
    /// in every group, and rules devices by a program, so these three come with any controller.
    pub(crate) fn from_v2(text: &str) -> Self {
        let mut set = Self::default();
        for word in text.split_ascii_whitespace() {
            set = match word {
                "cpu" => set.with(Controller::Cpu),
                "cpuset" => set.with(Controller::Cpuset),
                "memory" => set.with(Controller::Memory),
                "io" => set.with(Controller::Blkio),
                "pids" => set.with(Controller::Pids),
                _ => set,
            };
        }
        set
    }
}

/// A mounted version 1 hierarchy with at least one controller of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct V1 {
    pub(crate) mount: String,
    pub(crate) controllers: Controllers,
}

/// What is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) v1: Vec<V1>,
    /// Mount point of version 2.
    pub(crate) v2: Option<String>,
}

impl Layout {
    /// Reads this process's mounts.
    pub(crate) fn discover() -> Result<Self, Error> {
        let fail = |error: std::io::Error| {
            Error::new(ErrorClass::Internal, format!("cannot read /proc/self/mountinfo: {error}; mount /proc"))
        };
        let file = std::fs::File::open("/proc/self/mountinfo").map_err(fail)?;
        // Room from the start, or the reader begins with 32 bytes.
        let mut text = String::with_capacity(64 << 10);
        file.take(LONGEST_MOUNTINFO).read_to_string(&mut text).map_err(fail)?;
        Ok(Self::parse(&text))
    }

    /// From the text of `mountinfo` (proc_pid_mountinfo(5)). Lines that are not understood are skipped.
    pub(crate) fn parse(mountinfo: &str) -> Self {
        let mut layout = Self::default();
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let mut right = right.split(' ');
            let kind = right.next().unwrap_or_default();
            if kind != "cgroup" && kind != "cgroup2" {
                continue;
            }
            let Some(mount) = left.split(' ').nth(4).map(unescape) else { continue };
            if kind == "cgroup2" {
                layout.v2.get_or_insert(mount);
                continue;
            }
            let controllers = Controllers::from_options(right.nth(1).unwrap_or_default());
            let known = layout.v1.iter().any(|other| other.controllers == controllers);
            if !controllers.is_empty() && !known {
                layout.v1.push(V1 { mount, controllers });
            }
        }
        layout
    }
}

/// `\040` and the like, as the kernel writes blanks in paths.
fn unescape(word: &str) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|digits| first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        let (byte, used) = match digits {
            Some(&[a, b, c]) => {
                ((u16::from(a - b'0') * 64 + u16::from(b - b'0') * 8 + u16::from(c - b'0')).to_le_bytes()[0], 4)
            }
            _ => (first, 1),
        };
        bytes.push(byte);
        rest = rest.get(used..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
39 31 0:36 / /sys/fs/cgroup/net_cls rw,relatime - cgroup cgroup rw,net_cls
40 31 0:37 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
50 27 0:32 / /mnt/second rw,relatime - cgroup cgroup rw,memory
";

    #[test]
    fn a_hybrid_host() {
        let layout = Layout::parse(HYBRID);
        let mounts: Vec<&str> = layout.v1.iter().map(|v1| v1.mount.as_str()).collect();
        assert_eq!(mounts, ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/devices"]);
        assert!(layout.v1[0].controllers.has(Controller::Cpu) && layout.v1[0].controllers.has(Controller::Cpuacct));
        assert_eq!(layout.v2.as_deref(), Some("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn a_host_with_version_2_only() {
        let text = "29 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 \
                    rw,nsdelegate,memory_recursiveprot\n";
        let layout = Layout::parse(text);
        assert!(layout.v1.is_empty());
        assert_eq!(layout.v2.as_deref(), Some("/sys/fs/cgroup"));
        let set = Controllers::from_v2("cpuset cpu io memory hugetlb pids rdma misc\n");
        for controller in [Controller::Cpuset, Controller::Cpu, Controller::Blkio, Controller::Memory, Controller::Pids]
        {
            assert!(set.has(controller));
        }
        assert!(!set.has(Controller::Devices));
    }

    #[test]
    fn blanks_in_mount_points_and_nonsense_lines() {
        let text = "1 2 0:3 / /a\\040b\\134c rw - cgroup2 none rw\nnonsense\n - \n1 2 3 - cgroup\n";
        assert_eq!(Layout::parse(text).v2.as_deref(), Some("/a b\\c"));
        assert_eq!(Layout::parse(""), Layout::default());
    }

    #[test]
    fn no_text_makes_it_panic() {
        for length in 0..HYBRID.len() {
            let cut = HYBRID.get(length..).unwrap_or_default();
            let swapped = cut.replace(' ', "\\").replace("- ", " - ");
            for text in [cut, swapped.as_str()] {
                assert!(Layout::parse(text).v1.len() <= 8);
            }
        }
        assert_eq!(unescape("\\"), "\\");
        assert_eq!(unescape("a\\77"), "a\\77");
        assert_eq!(unescape("\\777"), "\u{fffd}");
    }

    #[test]
    fn this_host_has_something() {
        let layout = Layout::discover().unwrap();
        assert!(layout.v2.is_some() || !layout.v1.is_empty());
    }
}
