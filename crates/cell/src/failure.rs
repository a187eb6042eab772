//! From a step and an errno to a sentence with the cure and an exit code.

use bulkhead_plan::steps::Step;
use bulkhead_plan::{IsolationPlan, Process};
use bulkhead_sys::SysError;
use bulkhead_types::ErrorClass;
use rustix::io::Errno;

use crate::protocol::Failure;

/// A step that failed, in the child or the parent.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StepFailed {
    /// Name of the step.
    pub step: &'static str,
    /// Class.
    pub class: ErrorClass,
    /// What, why and the cure.
    pub message: String,
    /// 125, or for the last step 126 and 127.
    pub exit_code: u8,
}

impl StepFailed {
    /// Something in the parent.
    pub(crate) fn new(step: &'static str, class: ErrorClass, message: impl Into<String>) -> Self {
        Self { step, class, message: message.into(), exit_code: 125 }
    }

    /// A system call of the parent.
    pub(crate) fn parent(step: &'static str) -> impl Fn(SysError) -> Self {
        move |error| {
            let errno = Errno::from_raw_os_error(error.raw());
            let cure = cure_for(step, errno);
            Self::new(step, class_of(errno), format!("{step}: {error}{cure}"))
        }
    }

    /// A cgroup that cannot be had.
    pub(crate) fn group(error: &bulkhead_cgroup::Error) -> Self {
        Self::new("cgroup", error.class, error.message.clone())
    }
}

/// Words for what the child said.
pub(crate) fn explain(failure: &Failure, plan: &IsolationPlan, process: &Process) -> StepFailed {
    let errno = Errno::from_raw_os_error(failure.errno);
    match failure.step {
        Step::Execute => not_executed(failure, errno, process),
        Step::Identity if failure.index == u32::MAX => unknown_account(&failure.detail),
        Step::Identity if errno == Errno::INVAL => StepFailed::new(
            failure.step.name(),
            ErrorClass::Invalid,
            format!(
                "the user or a group of {:?} lies outside the container's id range ({}); choose an id inside it",
                process.user, failure.detail
            ),
        ),
        // A further process found nothing to join.
        Step::AssumeRoot if errno == Errno::SRCH || errno == Errno::NOMEM => gone(),
        Step::WorkingDirectory | Step::MakeWorkingDirectory => working_directory(failure, errno, process),
        step => {
            let about = subject(failure, plan, process);
            let text = std::io::Error::from(errno);
            let cure = cure_for(step.name(), errno);
            let message = format!("{}{about}: {}: {text}{cure}", step.name(), failure.detail);
            StepFailed::new(step.name(), class_of(errno), message)
        }
    }
}

/// The first process has ended.
pub(crate) fn gone() -> StepFailed {
    StepFailed::new("join", ErrorClass::Conflict, "the container is not running")
}

/// What the index of the failure points at.
fn subject(failure: &Failure, plan: &IsolationPlan, process: &Process) -> String {
    let index = usize::try_from(failure.index).unwrap_or(usize::MAX);
    let name = match failure.step {
        Step::AttachMounts => plan.mounts.get(index).map(|mount| mount.target.as_str()),
        Step::MaskPaths => plan.masked_paths.get(index).map(String::as_str),
        Step::ReadOnlyPaths => plan.read_only_paths.get(index).map(String::as_str),
        Step::Sysctls => plan.sysctls.keys().nth(index).map(String::as_str),
        Step::ResourceLimits => process.rlimits.get(index).map(|limit| limit.name.as_str()),
        _ => None,
    };
    name.map(|name| format!(" {name}")).unwrap_or_default()
}

fn class_of(errno: Errno) -> ErrorClass {
    match errno {
        Errno::PERM | Errno::ACCESS => ErrorClass::Denied,
        Errno::NOSYS | Errno::NODEV | Errno::OPNOTSUPP => ErrorClass::Unsupported,
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ISDIR => ErrorClass::Invalid,
        _ => ErrorClass::Internal,
    }
}

/// Docker's words, which scripts look for.
fn not_executed(failure: &Failure, errno: Errno, process: &Process) -> StepFailed {
    let program = process.args.first().map(String::as_str).unwrap_or_default();
    let (why, exit_code, class) = match errno {
        _ if failure.index == 1 => ("executable file not found in $PATH".to_owned(), 127, ErrorClass::NotFound),
        Errno::NOENT if failure.detail.starts_with("stat") => {
            (format!("stat {program}: no such file or directory"), 127, ErrorClass::NotFound)
        }
        Errno::NOENT => (
            "no such file or directory (its interpreter, named in its first line or its ELF header, is missing)"
                .to_owned(),
            127,
            ErrorClass::NotFound,
        ),
        Errno::NOTDIR => (format!("stat {program}: not a directory"), 127, ErrorClass::NotFound),
        Errno::ACCESS => ("permission denied".to_owned(), 126, ErrorClass::Denied),
        Errno::NOEXEC => (
            "exec format error (not a program of this machine's architecture, or a script without #!)".to_owned(),
            126,
            ErrorClass::Invalid,
        ),
        errno => (std::io::Error::from(errno).to_string(), 126, ErrorClass::Invalid),
    };
    let message = format!("exec: {program:?}: {why}");
    StepFailed { step: failure.step.name(), class, message, exit_code }
}

fn unknown_account(detail: &str) -> StepFailed {
    let message = match detail.split_once(' ') {
        Some(("user", user)) => {
            format!(
                "unable to find user {user}: no matching entries in passwd file; use a number or a name of the image"
            )
        }
        Some(("group", group)) => {
            format!(
                "unable to find group {group}: no matching entries in group file; use a number or a name of the image"
            )
        }
        _ => "the user is a member of more than 1024 groups in the container's /etc/group; name a group: -u USER:GROUP"
            .to_owned(),
    };
    StepFailed::new("identity", ErrorClass::Invalid, message)
}

fn working_directory(failure: &Failure, errno: Errno, process: &Process) -> StepFailed {
    let exit_code = match errno {
        Errno::NOENT | Errno::NOTDIR => 127,
        Errno::ACCESS | Errno::PERM => 126,
        _ => 125,
    };
    let text = std::io::Error::from(errno);
    let message = format!("chdir to cwd ({:?}) failed: {text}; choose another with -w", process.cwd);
    StepFailed { step: failure.step.name(), class: ErrorClass::Invalid, message, exit_code }
}

/// What the reader can do about it.
fn cure_for(step: &str, errno: Errno) -> &'static str {
    match (step, errno) {
        ("clone", Errno::NOSPC) => {
            "; the limit of namespaces is reached: raise user.max_user_namespaces and its like below /proc/sys/user"
        }
        ("clone", Errno::PERM) => {
            "; the host forbids user namespaces: set kernel.unprivileged_userns_clone=1 or \
             kernel.apparmor_restrict_unprivileged_userns=0"
        }
        ("clone", Errno::INVAL) => "; the kernel lacks a kind of namespace (Linux 5.14 with all CONFIG_*_NS is needed)",
        ("clone", Errno::AGAIN) => "; the limit of processes is reached: raise ulimit -u or pids.max of this session",
        ("attach-mounts", Errno::PERM) => {
            "; a new procfs or sysfs is only allowed where the host's is fully visible: inside another container start \
             that one with unmasked system paths"
        }
        ("attach-mounts", Errno::LOOP) => {
            "; the image has a symbolic link there, which is refused for the kernel's file systems"
        }
        ("attach-mounts", Errno::ROFS) => {
            "; the place does not exist and the root is read-only: create it in the image"
        }
        ("attach-mounts", Errno::NOTDIR) => "; one of source and target is a directory and the other is not",
        ("enter-cgroup", _) => "; is the process limit of the cgroup too small for one process?",
        ("filter", Errno::INVAL) => "; the kernel lacks CONFIG_SECCOMP_FILTER",
        ("terminal", Errno::NOENT) => "; the container has no devpts: start it with -t",
        ("terminal", Errno::NOSPC) => "; all pseudo terminals are in use: raise kernel.pty.max",
        _ => "",
    }
}
