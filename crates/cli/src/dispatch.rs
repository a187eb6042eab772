//! From the argument vector to one verb. Only the verb that was named is built.

use std::process::ExitCode;

use clap::Command;

use crate::console;
use crate::failure::{Failure, Result};
use crate::records::Entry;
use crate::session::Session;
use crate::verbs::VERBS;

/// Groups of verbs and what they are about.
const GROUPS: &[(&str, &str)] = &[
    ("container", "Manage containers"),
    ("image", "Manage images"),
    ("volume", "Manage volumes"),
    ("system", "Manage Bulkhead"),
    ("internal", "Called by Bulkhead itself"),
];

/// The whole program.
pub fn main() -> ExitCode {
    crate::stream::terminal::restore_on_panic();
    let code = match arguments().and_then(run) {
        Ok(code) => code,
        Err(failure) => report(&failure),
    };
    crate::stream::terminal::restore();
    ExitCode::from(code)
}

fn report(failure: &Failure) -> u8 {
    match (failure.message.is_empty(), failure.bare) {
        (true, _) => {}
        (false, true) => console::note(&failure.message),
        (false, false) => console::complain(&failure.message),
    }
    failure.code
}

fn arguments() -> Result<Vec<String>> {
    std::env::args_os()
        .skip(1)
        .map(|word| {
            word.into_string()
                .map_err(|word| Failure::usage(format!("bulkhead: the argument {word:?} is not UTF-8: rename it")))
        })
        .collect()
}

/// What stands in front of the verb.
#[derive(Debug, Default)]
struct Globals {
    root: Option<std::path::PathBuf>,
    run_root: Option<std::path::PathBuf>,
}

fn run(arguments: Vec<String>) -> Result<u8> {
    let mut globals = Globals::default();
    let mut rest = arguments.into_iter();
    while let Some(word) = rest.next() {
        if !word.starts_with('-') {
            let session = Session::new(globals.root, globals.run_root, tree);
            return verb(&word, rest.collect(), &session);
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word.clone(), None),
        };
        let mut needed = || {
            value.clone().or_else(|| rest.next()).map(Some).ok_or_else(|| {
                Failure::usage(format!("flag needs an argument: {name}\n\nRun 'bulkhead --help' for more information"))
            })
        };
        match name.as_str() {
            "--root" => globals.root = needed()?.map(Into::into),
            "--run-root" => globals.run_root = needed()?.map(Into::into),
            "--help" | "-h" => return console::out(&overview()).map(|()| 0),
            "--version" | "-v" => return console::line(&version_line()).map(|()| 0),
            _ => return Err(Failure::usage(unknown_global(&name))),
        }
    }
    console::out(&overview())?;
    Ok(0)
}

fn unknown_global(name: &str) -> String {
    let what = if name.starts_with("--") {
        format!("unknown flag: {name}")
    } else {
        format!("unknown shorthand flag: '{}' in {name}", name.chars().nth(1).unwrap_or('-'))
    };
    format!("{what}\n\nUsage:  bulkhead [OPTIONS] COMMAND [ARG...]\n\nRun 'bulkhead --help' for more information")
}

/// One line, as `--version` prints it.
fn version_line() -> String {
    format!("Bulkhead version {}", env!("CARGO_PKG_VERSION"))
}

fn verb(first: &str, mut arguments: Vec<String>, session: &Session) -> Result<u8> {
    if first == "help" {
        return help(&arguments);
    }
    let is_group = GROUPS.iter().any(|(name, _)| *name == first);
    if !is_group {
        let entry = find(first).ok_or_else(|| unknown(first, ""))?;
        return entry.execute(first, arguments, session);
    }
    let (group, second, behind) = match arguments.first().map(String::as_str) {
        None | Some("--help" | "-h") => {
            console::out(&group_overview(first))?;
            return Ok(0);
        }
        Some(second) => (first, second.to_owned(), arguments.split_off(1)),
    };
    // `image base debian` has a third word.
    let two = format!("{group} {second}");
    let three = behind.first().map(|third| format!("{two} {third}"));
    if let Some((three, entry)) = three.and_then(|three| find(&three).map(|entry| (three, entry))) {
        return entry.execute(&three, behind.into_iter().skip(1).collect(), session);
    }
    let entry = find(&two).ok_or_else(|| unknown(&two, group))?;
    entry.execute(&two, behind, session)
}

fn find(spelling: &str) -> Option<&'static Entry> {
    VERBS.iter().find(|entry| entry.spellings.contains(&spelling))
}

fn unknown(spelling: &str, group: &str) -> Failure {
    let space = if group.is_empty() { "" } else { " " };
    Failure {
        message: format!(
            "bulkhead: unknown command: bulkhead {spelling}\n\nRun 'bulkhead{space}{group} --help' for more information"
        ),
        code: 1,
        bare: true,
    }
}

fn help(words: &[String]) -> Result<u8> {
    let spelling = words.join(" ");
    let text = if spelling.is_empty() {
        overview()
    } else if let Some(entry) = find(&spelling) {
        crate::usage::help(entry, &entry.command(), &spelling)
    } else if GROUPS.iter().any(|(name, _)| *name == spelling) {
        group_overview(&spelling)
    } else {
        return Err(unknown(&spelling, ""));
    };
    console::out(&text)?;
    Ok(0)
}

fn overview() -> String {
    let mut text = String::from(
        "Usage:  bulkhead [OPTIONS] COMMAND\n\nA container engine for code you do not trust\n\nCommands:\n",
    );
    text.push_str(&listing(|spelling| (!spelling.contains(' ')).then_some(spelling)));
    text.push_str("\nGroups:\n");
    for (name, about) in GROUPS.iter().filter(|(name, _)| *name != "internal") {
        text.push_str(&format!("  {name:<12}{about}\n"));
    }
    text.push_str(
        "\nGlobal Options:\n      --root string       Where images, volumes and containers are kept [BULKHEAD_ROOT]\n      --run-root string   Where running containers keep their state [BULKHEAD_RUN_ROOT]\n  -v, --version           Print version and quit\n      --help              Print usage\n\nRun 'bulkhead COMMAND --help' for more information on a command.\n",
    );
    text
}

fn group_overview(group: &str) -> String {
    let about = GROUPS.iter().find(|(name, _)| *name == group).map_or("", |(_, about)| about);
    let prefix = format!("{group} ");
    format!(
        "Usage:  bulkhead {group} COMMAND\n\n{about}\n\nCommands:\n{}\nRun 'bulkhead {group} COMMAND --help' for more information on a command.\n",
        listing(|spelling| spelling.strip_prefix(&prefix))
    )
}

/// A line for each verb that has a spelling here.
fn listing(name: impl Fn(&'static str) -> Option<&'static str>) -> String {
    let mut rows: Vec<(&str, &str)> = VERBS
        .iter()
        .filter(|entry| !entry.hidden)
        .filter_map(|entry| Some((entry.spellings.iter().find_map(|spelling| name(spelling))?, entry.about)))
        .collect();
    rows.sort_unstable();
    rows.iter().map(|(name, about)| format!("  {name:<12}{about}\n")).collect()
}

/// All verbs as one tree, for completions and man pages.
fn tree() -> Command {
    let mut root = Command::new("bulkhead")
        .about("A container engine for code you do not trust")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .arg(
            clap::Arg::new("root").long("root").value_name("DIR").help("Where images, volumes and containers are kept"),
        )
        .arg(clap::Arg::new("run-root").long("run-root").value_name("DIR").help("Where running containers keep state"));
    let mut groups: Vec<Command> = GROUPS
        .iter()
        .map(|(name, about)| Command::new(*name).about(*about).hide(*name == "internal").disable_help_subcommand(true))
        .collect();
    for entry in VERBS {
        for spelling in entry.spellings {
            let words: Vec<&'static str> = spelling.split(' ').collect();
            let usage = format!("bulkhead {spelling} {}", entry.usage);
            let leaf = |name| entry.plain_command(name).override_usage(usage.clone());
            match words.as_slice() {
                [name] => root = root.subcommand(leaf(name)),
                [group, name] => extend(&mut groups, group, |command| command.subcommand(leaf(name))),
                [group, middle, name] => extend(&mut groups, group, |command| {
                    command.subcommand(Command::new(*middle).about(entry.about).subcommand(leaf(name)))
                }),
                _ => {}
            }
        }
    }
    root.subcommands(groups)
}

fn extend(groups: &mut [Command], name: &str, change: impl FnOnce(Command) -> Command) {
    if let Some(group) = groups.iter_mut().find(|group| group.get_name() == name) {
        *group = change(std::mem::take(group));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_sound_records() {
        tree().debug_assert();
        for entry in VERBS {
            entry.command().debug_assert();
            assert!(!entry.about.ends_with('.') && !entry.about.is_empty(), "{}", entry.name());
            for arg in entry.command().get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set()) {
                assert!(arg.get_help().is_some(), "{} {:?} has no help", entry.name(), arg.get_id());
            }
        }
    }

    #[test]
    fn spellings_are_unique() {
        let mut all: Vec<&str> = VERBS.iter().flat_map(|entry| entry.spellings.iter().copied()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
