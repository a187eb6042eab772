//! Whether the words of a wish can be words of a plan at all.

use super::{PlanError, Wishes};

/// `HOST_NAME_MAX` of Linux, bytes.
const HOST_NAME_MAX: usize = 64;
/// `MAX_ARG_STRLEN` of Linux, bytes: one argument or variable.
const ARGUMENT_MAX: usize = 131_072;

pub(super) fn check(wishes: &Wishes) -> Result<(), PlanError> {
    check_ids(wishes)?;
    check_process(wishes)?;
    let hostname = &wishes.hostname;
    let printable = |byte: u8| byte.is_ascii_graphic();
    if hostname.is_empty() || hostname.len() > HOST_NAME_MAX || !hostname.bytes().all(printable) {
        return Err(PlanError::invalid(format!(
            "the host name {hostname:?} cannot be used: take 1 to {HOST_NAME_MAX} letters, digits, dots and dashes (--hostname)"
        )));
    }
    if !(-1000..=1000).contains(&wishes.oom_score_adj) {
        return Err(PlanError::invalid(format!("--oom-score-adj {} is outside -1000 to 1000", wishes.oom_score_adj)));
    }
    Ok(())
}

/// The own range is the first wall; there is no plan without one.
fn check_ids(wishes: &Wishes) -> Result<(), PlanError> {
    if wishes.ids.to_host(0).is_err() {
        return Err(PlanError::invalid("the container's id range has no id for root inside (id 0)"));
    }
    let hosts_root = wishes.ids.0.iter().any(|extent| extent.host == 0);
    let wraps = wishes.ids.0.iter().any(|extent| extent.host.checked_add(extent.count).is_none());
    if hosts_root || wraps {
        return Err(PlanError::invalid("the container's id range contains an id of the host's own (id 0 outside)"));
    }
    Ok(())
}

fn check_process(wishes: &Wishes) -> Result<(), PlanError> {
    let process = &wishes.process;
    if process.args.first().is_none_or(String::is_empty) {
        return Err(PlanError::invalid(
            "no program to run: the image names none, so name one behind the image or with --entrypoint",
        ));
    }
    if !process.cwd.starts_with('/') {
        return Err(PlanError::invalid(format!(
            "the working directory {:?} is not absolute; begin it with / (--workdir)",
            process.cwd
        )));
    }
    let words = process.args.iter().chain(&process.env).chain(&process.groups);
    for word in words.chain([&process.cwd, &process.user]) {
        if word.contains('\0') {
            return Err(PlanError::invalid(format!("{word:?} contains a NUL byte, which the kernel cannot pass on")));
        }
        if word.len() >= ARGUMENT_MAX {
            return Err(PlanError::invalid(format!(
                "an argument or variable of {} bytes is longer than the {ARGUMENT_MAX} that the kernel passes on",
                word.len()
            )));
        }
    }
    match process.env.iter().find(|variable| variable.find('=').is_none_or(|at| at == 0)) {
        Some(variable) => {
            Err(PlanError::invalid(format!("the variable {variable:?} is not of the form NAME=value (--env)")))
        }
        None => Ok(()),
    }
}
