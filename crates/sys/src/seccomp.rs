//! A small compiler from rules to classic BPF, and loading it. An empty filter is an error.
//!
//! Meaning of a [`Filter`] for one call:
//! 1. another architecture, or a number from the x32 bit up: [`Filter::foreign`];
//! 2. a number that no rule names: [`Filter::unlisted`];
//! 3. otherwise the first rule of that number whose tests all hold gives the verdict, and if none does,
//!    [`Filter::unmatched`].
//!
//! Only x86_64 so far, and only natively: a 32-bit program inside is what `foreign` is for.

mod assemble;
mod table;
#[cfg(test)]
mod tests;

use crate::{Result, SysError, raw};

pub use table::{NEWEST, SYSCALLS, name_of, number_of};

/// What the kernel does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Goes on.
    Allow,
    /// Comes back at once with this errno (1 to 4095).
    Errno(u16),
    /// Ends the whole process with `SIGSYS`.
    KillProcess,
}

/// How an argument is compared. All comparisons are of unsigned 64-bit values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    /// `argument & mask == value`. For an `int` argument take the mask `0xffff_ffff`: the kernel ignores the upper half,
    /// and a rule that refuses must not be fooled by it (CVE-2019-10063).
    MaskedEqual {
        /// Bits that count; not 0.
        mask: u64,
    },
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// One condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArgTest {
    /// Which argument, 0 to 5.
    pub index: u8,
    /// How.
    pub compare: Compare,
    /// With what.
    pub value: u64,
}

impl ArgTest {
    /// Whether the condition holds: the meaning that the compiled program must have.
    #[must_use]
    pub fn holds(&self, args: &[u64; 6]) -> bool {
        let argument = args.get(usize::from(self.index)).copied().unwrap_or(0);
        match self.compare {
            Compare::MaskedEqual { mask } => argument & mask == self.value,
            Compare::Equal => argument == self.value,
            Compare::NotEqual => argument != self.value,
            Compare::Less => argument < self.value,
            Compare::LessOrEqual => argument <= self.value,
            Compare::Greater => argument > self.value,
            Compare::GreaterOrEqual => argument >= self.value,
        }
    }
}

/// What happens to one system call if all the tests hold. Several rules for one call are tried in their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Number on this architecture.
    pub number: u32,
    /// Joined by *and*; none always holds.
    pub tests: Vec<ArgTest>,
    /// What then.
    pub verdict: Verdict,
}

/// A whole filter; see the module's text for its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Another architecture or x32.
    pub foreign: Verdict,
    /// A number that no rule names. Not [`Verdict::Allow`].
    pub unlisted: Verdict,
    /// A named number none of whose rules holds. Not [`Verdict::Allow`].
    pub unmatched: Verdict,
    /// In their order of precedence within a number.
    pub rules: Vec<Rule>,
}

impl Filter {
    /// The verdict for a native call, straight from the rules: what the compiled program is tested against.
    #[must_use]
    pub fn verdict(&self, number: u32, args: &[u64; 6]) -> Verdict {
        if number >= assemble::X32_BIT {
            return self.foreign;
        }
        let mut listed = false;
        for rule in self.rules.iter().filter(|rule| rule.number == number) {
            listed = true;
            if rule.tests.iter().all(|test| test.holds(args)) {
                return rule.verdict;
            }
        }
        if listed { self.unmatched } else { self.unlisted }
    }
}

/// Why a filter cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// No rule, or none that allows anything: a mistake, never a wish.
    #[error("the system call filter allows nothing; without a rule that allows, no program can run")]
    Empty,
    /// The filter would be an allow-all with exceptions, or is open to foreign calls.
    #[error("the system call filter lets calls through that no rule names; only named calls may be allowed")]
    Open,
    /// No such argument.
    #[error("the rule for system call {number} tests argument {index}; there are six, 0 to 5")]
    Argument {
        /// The call.
        number: u32,
        /// The argument.
        index: u8,
    },
    /// More than a rule can need.
    #[error("the rule for system call {number} has {tests} tests; at most 24 fit into one")]
    Tests {
        /// The call.
        number: u32,
        /// How many.
        tests: usize,
    },
    /// A masked comparison that always or never holds.
    #[error("the rule for system call {number} compares {value:#x} under the mask {mask:#x}, which can never decide")]
    Mask {
        /// The call.
        number: u32,
        /// The mask.
        mask: u64,
        /// The value.
        value: u64,
    },
    /// Not a native number.
    #[error("{number} is no system call number of this architecture")]
    Number {
        /// The number.
        number: u32,
    },
    /// errno 0 would look like success.
    #[error("errno {errno} is outside 1 to 4095; 0 would look like success to the program")]
    Errno {
        /// The value.
        errno: u16,
    },
    /// More than the kernel takes.
    #[error("the system call filter has {instructions} instructions; the kernel takes 4096: use fewer rules")]
    TooLong {
        /// Compiled length.
        instructions: usize,
    },
}

/// A compiled filter, ready for a child that can do no more than one system call.
#[derive(Clone)]
pub struct Program(Vec<libc::sock_filter>);

/// Compiles a filter: arch check, then a binary search over merged number ranges, then the tests of the number.
///
/// # Errors
/// If the filter is empty, open, malformed or too long.
pub fn compile(filter: &Filter) -> std::result::Result<Program, CompileError> {
    assemble::compile(filter).map(Program)
}

impl Program {
    /// Puts the filter on the calling thread for ever; children inherit it. The thread must have no-new-privs.
    ///
    /// # Errors
    /// What the kernel says; `EACCES` without no-new-privs.
    pub fn load(&self) -> Result<()> {
        raw::seccomp::set_mode_filter(&self.0)
            .map_err(|errno| SysError::new("seccomp", format!("filter of {} instructions", self.len()), errno))
    }

    /// Number of BPF instructions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true: an empty filter does not compile.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The instructions as `struct sock_filter` in memory order.
    #[must_use]
    pub fn as_bytes(&self) -> Vec<u8> {
        let word = |i: &libc::sock_filter| {
            let [c0, c1] = i.code.to_ne_bytes();
            let [k0, k1, k2, k3] = i.k.to_ne_bytes();
            [c0, c1, i.jt, i.jf, k0, k1, k2, k3]
        };
        self.0.iter().flat_map(word).collect()
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Program({} instructions)", self.0.len())
    }
}
