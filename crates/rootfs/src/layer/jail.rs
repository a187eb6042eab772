//! The other end of [`super::convert`]: a process that may read a stream and write a file, and nothing else.
//!
//! It is our own executable, started again. Before it reads a byte it is nobody: an id of its own, no capability and no
//! way to one, small limits, and a system call filter that opens nothing, connects to nothing and starts nothing.

use std::io::Write as _;

use bulkhead_archive::Limits;
use bulkhead_sys::privilege;
use bulkhead_sys::seccomp::{ArgTest, Compare, Filter, Rule, Verdict, compile, number_of};
use bulkhead_types::{Digest, ErrorClass};
use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};

use super::{Backend, take_in};
use crate::Error;
use crate::ranges::CONVERTER;

/// What the converter says before it ends, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The image is written; the stream had this digest.
    Done(Digest),
    /// It is not.
    Refused(ErrorClass, String),
}

/// Address space: the tree in memory (512 MiB), zstd's window (128 MiB), the allocator's reservations.
const MEMORY: u64 = 4 << 30;
/// Contents are bounded by [`Limits::bytes`], twice that bounds what padding and metadata make of them.
const FILE: u64 = 128 << 30;
/// Threads of all converters that run on this host together.
const THREADS: u64 = 256;

/// Calls without which no layer is converted. `clone`, `mmap` and `mprotect` have conditions, see [`filter`].
const CALLS: &[&str] = &[
    "brk",
    "clock_gettime",
    "close",
    "exit",
    "exit_group",
    "ftruncate",
    "futex",
    "getrandom",
    "gettid",
    "lseek",
    "madvise",
    "mremap",
    "munmap",
    "pwrite64",
    "read",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "sigaltstack",
    "write",
];
const CLONE_THREAD: u64 = 0x0001_0000;
/// `CLONE_NEW*` that fit into `clone`'s flags.
const CLONE_NAMESPACES: u64 = 0x7e02_0080;
const PROT_EXEC: u64 = 4;
const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// The whole life of the converter of the layer `diff_id`: blob on descriptor 0, image file 1, report 2. To be called
/// first in `main`; the caller ends with the code.
#[must_use]
pub fn convert_layer(diff_id: &str) -> u8 {
    let report = match confined(diff_id) {
        Ok(found) => Report::Done(found),
        Err(error) => Report::Refused(error.class, error.message),
    };
    let told = serde_json::to_vec(&report).is_ok_and(|text| std::io::stderr().write_all(&text).is_ok());
    u8::from(!told)
}

fn confined(diff_id: &str) -> Result<Digest, Error> {
    confine()?;
    let wanted = diff_id.parse::<Digest>().map_err(|error| Error::new(ErrorClass::Internal, error.to_string()))?;
    take_in(&mut std::io::stdin().lock(), &wanted, &Backend::Erofs, &std::io::stdout(), Limits::default())?;
    Ok(wanted)
}

/// Gives up everything. Our parent's end ends us too; if it ended before this, our input is at its end.
fn confine() -> Result<(), Error> {
    privilege::no_new_privileges()?;
    for (resource, most) in [
        (Resource::As, MEMORY),
        (Resource::Fsize, FILE),
        (Resource::Nofile, 3),
        (Resource::Nproc, THREADS),
        (Resource::Core, 0),
    ] {
        limit(resource, most)?;
    }
    privilege::limit_bounding_set(0)?;
    privilege::become_user(CONVERTER, CONVERTER, &[])?;
    privilege::set_capabilities(0)?;
    privilege::hide_from_tracing()?;
    privilege::die_with_parent()?;
    let bug = |text: String| Error::new(ErrorClass::Internal, format!("the converter's filter: {text}"));
    compile(&filter().map_err(bug)?).map_err(|error| bug(error.to_string()))?.load()?;
    Ok(())
}

/// Never above what we inherited.
fn limit(resource: Resource, most: u64) -> Result<(), Error> {
    let most = rustix::process::getrlimit(resource).maximum.map_or(most, |ours| ours.min(most));
    rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
        .map_err(|errno| Error::new(ErrorClass::Internal, format!("setrlimit {resource:?}: {errno}")))
}

/// Everything else fails with `EPERM`, which the C library takes for a hardened host and does without.
fn filter() -> Result<Filter, String> {
    let none_of = |index, mask| ArgTest { index, compare: Compare::MaskedEqual { mask }, value: 0 };
    let thread = CLONE_THREAD | CLONE_NAMESPACES;
    let a_thread = ArgTest { index: 0, compare: Compare::MaskedEqual { mask: thread }, value: CLONE_THREAD };
    let conditional = [
        ("clone", vec![a_thread], Verdict::Allow),
        // Its flags lie in memory, where no filter sees them: the C library falls back to `clone`.
        ("clone3", vec![], Verdict::Errno(ENOSYS)),
        ("mmap", vec![none_of(2, PROT_EXEC)], Verdict::Allow),
        ("mprotect", vec![none_of(2, PROT_EXEC)], Verdict::Allow),
    ];
    let plain = CALLS.iter().map(|name| (*name, vec![], Verdict::Allow));
    let rules = plain.chain(conditional).map(|(name, tests, verdict)| {
        let number = number_of(name).ok_or_else(|| format!("no number for {name}"))?;
        Ok(Rule { number, tests, verdict })
    });
    let refused = Verdict::Errno(EPERM);
    let rules = rules.collect::<Result<_, String>>()?;
    Ok(Filter { foreign: Verdict::KillProcess, unlisted: refused, unmatched: refused, rules })
}
