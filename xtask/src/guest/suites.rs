//! What runs in the guest: one line a suite.

use anyhow::{Result, bail};

/// How the guest is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// A pure version 2 tree, no service manager.
    Plain,
    /// Version 1 controllers with a version 2 tree beside them.
    Hybrid,
    /// systemd on a pure version 2 tree.
    Systemd,
}

impl Boot {
    /// In the order in which they run.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Hybrid, Self::Systemd];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Hybrid => "hybrid",
            Self::Systemd => "systemd",
        }
    }

    /// The boot of this name.
    pub fn named(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|boot| boot.name() == name) {
            Some(boot) => Ok(boot),
            None => bail!("no boot {name}: plain, hybrid or systemd"),
        }
    }

    /// Words for the kernel. What it does not know it hands to its first program as environment.
    pub fn words(self) -> String {
        let init = if self == Self::Systemd { "/lib/systemd/systemd" } else { "/bulkhead/init" };
        let modules = if self == Self::Systemd { "landlock,yama,apparmor,bpf" } else { "landlock,yama,bpf" };
        format!("lsm={modules} BULKHEAD_BOOT={} BULKHEAD_INIT={init}", self.name())
    }
}

/// A test program and how it is called.
#[derive(Debug)]
pub struct Suite {
    /// Its name in reports; unique within a boot.
    pub name: &'static str,
    /// Where it runs.
    pub boot: Boot,
    /// Package, and the test target in it (`lib` for its unit tests).
    pub test: (&'static str, &'static str),
    /// Words for the test program: filters and flags of libtest.
    pub words: &'static str,
    /// Rights that must be there, in the guest.
    pub must: &'static str,
}

impl Suite {
    /// `boot:name`.
    pub fn title(&self) -> String {
        format!("{}:{}", self.boot.name(), self.name)
    }
}

const fn suite(boot: Boot, name: &'static str, test: (&'static str, &'static str), words: &'static str) -> Suite {
    Suite { name, boot, test, words, must: "root" }
}

/// All of them.
pub const SUITES: &[Suite] = &[
    suite(Boot::Plain, "cgroup", ("bulkhead-cgroup", "lib"), ""),
    suite(Boot::Hybrid, "cgroup", ("bulkhead-cgroup", "lib"), ""),
];
