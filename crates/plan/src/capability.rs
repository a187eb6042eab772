//! The kernel's capabilities by name and number.

use serde::{Deserialize, Serialize};

macro_rules! capabilities {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        /// A Linux capability (`capabilities(7)`, numbers of `linux/capability.h`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[allow(missing_docs)]
        pub enum Capability { $(#[serde(rename = $text)] $name = $number,)* }

        impl Capability {
            /// Every capability known to this build.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// The kernel's name with `CAP_`.
            #[must_use]
            pub const fn name(self) -> &'static str { match self { $(Self::$name => $text,)* } }
            /// The bit number.
            #[must_use]
            pub const fn number(self) -> u32 { self as u32 }
        }
    };
}

capabilities! {
    Chown = 0, "CAP_CHOWN"; DacOverride = 1, "CAP_DAC_OVERRIDE"; DacReadSearch = 2, "CAP_DAC_READ_SEARCH";
    Fowner = 3, "CAP_FOWNER"; Fsetid = 4, "CAP_FSETID"; Kill = 5, "CAP_KILL"; Setgid = 6, "CAP_SETGID";
    Setuid = 7, "CAP_SETUID"; Setpcap = 8, "CAP_SETPCAP"; LinuxImmutable = 9, "CAP_LINUX_IMMUTABLE";
    NetBindService = 10, "CAP_NET_BIND_SERVICE"; NetBroadcast = 11, "CAP_NET_BROADCAST"; NetAdmin = 12, "CAP_NET_ADMIN";
    NetRaw = 13, "CAP_NET_RAW"; IpcLock = 14, "CAP_IPC_LOCK"; IpcOwner = 15, "CAP_IPC_OWNER";
    SysModule = 16, "CAP_SYS_MODULE"; SysRawio = 17, "CAP_SYS_RAWIO"; SysChroot = 18, "CAP_SYS_CHROOT";
    SysPtrace = 19, "CAP_SYS_PTRACE"; SysPacct = 20, "CAP_SYS_PACCT"; SysAdmin = 21, "CAP_SYS_ADMIN";
    SysBoot = 22, "CAP_SYS_BOOT"; SysNice = 23, "CAP_SYS_NICE"; SysResource = 24, "CAP_SYS_RESOURCE";
    SysTime = 25, "CAP_SYS_TIME"; SysTtyConfig = 26, "CAP_SYS_TTY_CONFIG"; Mknod = 27, "CAP_MKNOD";
    Lease = 28, "CAP_LEASE"; AuditWrite = 29, "CAP_AUDIT_WRITE"; AuditControl = 30, "CAP_AUDIT_CONTROL";
    Setfcap = 31, "CAP_SETFCAP"; MacOverride = 32, "CAP_MAC_OVERRIDE"; MacAdmin = 33, "CAP_MAC_ADMIN";
    Syslog = 34, "CAP_SYSLOG"; WakeAlarm = 35, "CAP_WAKE_ALARM"; BlockSuspend = 36, "CAP_BLOCK_SUSPEND";
    AuditRead = 37, "CAP_AUDIT_READ"; Perfmon = 38, "CAP_PERFMON"; Bpf = 39, "CAP_BPF";
    CheckpointRestore = 40, "CAP_CHECKPOINT_RESTORE";
}

impl Capability {
    /// From Docker's words: with or without `CAP_`, in any case.
    #[must_use]
    pub fn from_name(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        Self::ALL.iter().copied().find(|capability| capability.name().strip_prefix("CAP_") == Some(bare))
    }
}
