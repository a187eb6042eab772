//! The default-deny system call filter as data; `sys::seccomp` compiles it, the cell carries it over.
//!
//! Meaning, the same as the compiler's: the first rule of a call whose tests all hold decides; if none holds, or the
//! call is known but has no rule, the answer is [`Filter::known`]; a number that this build does not know gets
//! [`Filter::unknown`], so that programs take their fall-back for old kernels.

mod calls;

use crate::capability::Capability;
use crate::model::{IsolationPlan, Level, SeccompPolicy};

/// Answers of the kernel to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on.
    Allow,
    /// Comes back with this errno.
    Errno(u16),
}

/// errno values of `asm-generic/errno.h` that the filter answers with.
pub mod errno {
    /// Refused.
    pub const EPERM: u16 = 1;
    /// The call does not exist: programs fall back.
    pub const ENOSYS: u16 = 38;
    /// No such option: programs go without it.
    pub const ENOPROTOOPT: u16 = 92;
    /// No such protocol: what a kernel without it says.
    pub const EPROTONOSUPPORT: u16 = 93;
    /// Not supported here.
    pub const EOPNOTSUPP: u16 = 95;
    /// No such address family: what a kernel without it says.
    pub const EAFNOSUPPORT: u16 = 97;
}

/// `argument[index] & mask == value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgTest {
    /// 0 to 5.
    pub index: u8,
    /// Bits that count. For a C `int` it is 32 bits: the kernel ignores what stands above (CVE-2019-10063).
    pub mask: u64,
    /// With what.
    pub value: u64,
}

/// What happens to one call if all the tests hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The kernel's name.
    pub call: &'static str,
    /// Joined by *and*; none always holds.
    pub tests: &'static [ArgTest],
    /// What then.
    pub verdict: Verdict,
    /// Why, where it is not Docker's default; may be empty for a plain call.
    pub reason: &'static str,
}

/// A whole filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// 32-bit and x32 calls. Not fatal: a program that only probes goes on.
    pub foreign: Verdict,
    /// A number that this build has no name for.
    pub unknown: Verdict,
    /// A known call without a rule, or none of whose rules holds.
    pub known: Verdict,
    /// First match wins.
    pub rules: Vec<Rule>,
}

/// The filter of a plan; `None` only under the concession `NoSeccomp`.
#[must_use]
pub fn filter_for(plan: &IsolationPlan) -> Option<Filter> {
    match plan.seccomp {
        SeccompPolicy::Default => Some(filter(plan.level, &plan.capabilities)),
        SeccompPolicy::Unconfined => None,
    }
}

/// The filter of a level, opened as far as the capabilities ask for. A further process with capabilities of its own
/// (`exec --privileged`) takes it from here too.
#[must_use]
pub fn filter(level: Level, capabilities: &[Capability]) -> Filter {
    let hardened = if level == Level::Hardened { calls::HARDENED } else { &[] };
    let opened = calls::OPENED.iter().filter(|opening| capabilities.contains(&opening.capability));
    let mut rules: Vec<Rule> = opened.flat_map(|opening| opening.rules.iter().copied()).collect();
    rules.extend(hardened);
    rules.extend(calls::TESTED);
    rules.extend(calls::ABSENT);
    rules.extend(calls::PLAIN.iter().map(|call| Rule { call, tests: &[], verdict: Verdict::Allow, reason: "" }));
    Filter {
        foreign: Verdict::Errno(errno::ENOSYS),
        unknown: Verdict::Errno(errno::ENOSYS),
        known: Verdict::Errno(errno::EPERM),
        rules,
    }
}

impl Filter {
    /// The verdict for a call by name, straight from the rules.
    #[must_use]
    pub fn verdict(&self, call: &str, args: [u64; 6]) -> Verdict {
        let holds = |test: &ArgTest| args.get(usize::from(test.index)).is_some_and(|arg| arg & test.mask == test.value);
        let matching = |rule: &&Rule| rule.call == call && rule.tests.iter().all(holds);
        self.rules.iter().find(matching).map_or(self.known, |rule| rule.verdict)
    }
}

#[cfg(test)]
mod tests;
