//! `--security-opt` in Docker's words, and `--privileged`.

use super::{PlanError, Wishes};
use crate::concession::Concession;
use crate::model::Level;

/// What the options open.
#[derive(Default)]
pub(super) struct Options {
    /// No filter.
    pub unconfined: bool,
    /// Set-uid programs count.
    pub new_privileges: bool,
    /// Nothing is covered or read-only.
    pub unmasked: bool,
}

pub(super) fn parse(wishes: &Wishes, conceded: &mut Vec<Concession>) -> Result<Options, PlanError> {
    if wishes.privileged && wishes.level == Level::Hardened {
        return Err(PlanError::invalid(
            "--privileged and --isolation hardened contradict each other: leave out one of them",
        ));
    }
    let mut options = Options { unmasked: wishes.privileged, ..Options::default() };
    let mut no_new_privileges = None;
    for text in &wishes.security_opts {
        match parse_one(text)? {
            Word::NoNewPrivileges(on) => {
                if no_new_privileges.is_some_and(|before| before != on) {
                    return Err(PlanError::invalid(
                        "--security-opt no-new-privileges is given both as true and as false: keep one",
                    ));
                }
                no_new_privileges = Some(on);
            }
            Word::Unconfined => options.unconfined = true,
            Word::Unmasked => options.unmasked = true,
            Word::Nothing => {}
        }
    }
    options.new_privileges = no_new_privileges == Some(false);
    let opened = [
        (options.unconfined, Concession::NoSeccomp),
        (options.new_privileges, Concession::NewPrivileges),
        (options.unmasked, Concession::UnmaskedPaths),
        (wishes.privileged, Concession::WritableKernelFiles),
    ];
    conceded.extend(opened.into_iter().filter(|(open, _)| *open).map(|(_, concession)| concession));
    Ok(options)
}

enum Word {
    NoNewPrivileges(bool),
    Unconfined,
    Unmasked,
    /// Asks for what is so anyway.
    Nothing,
}

fn parse_one(text: &str) -> Result<Word, PlanError> {
    let (name, value) = text.split_once(['=', ':']).map_or((text, None), |(name, value)| (name, Some(value)));
    match (name, value) {
        ("no-new-privileges", None | Some("true" | "1")) => Ok(Word::NoNewPrivileges(true)),
        ("no-new-privileges", Some("false" | "0")) => Ok(Word::NoNewPrivileges(false)),
        ("seccomp", Some("unconfined")) => Ok(Word::Unconfined),
        ("seccomp", Some("builtin")) => Ok(Word::Nothing),
        ("seccomp", Some(file)) => Err(PlanError::unsupported(format!(
            "--security-opt seccomp={file}: own filter files come with the walls issue; leave the option out for the \
             built-in filter, open single calls with --cap-add, or take seccomp=unconfined"
        ))),
        ("systempaths", Some("unconfined")) => Ok(Word::Unmasked),
        // There is no such wall yet, so nothing is opened by leaving it out.
        ("apparmor", Some("unconfined")) | ("label", Some("disable")) => Ok(Word::Nothing),
        ("apparmor" | "label", _) => Err(PlanError::unsupported(format!(
            "--security-opt {text}: profiles and labels of the host's security module come with the walls issue; leave \
             it out (the other walls stand without it)"
        ))),
        _ => Err(PlanError::invalid(format!(
            "--security-opt {text} is not known; there are no-new-privileges[=true|false], seccomp=unconfined, \
             systempaths=unconfined, apparmor=unconfined and label=disable"
        ))),
    }
}
