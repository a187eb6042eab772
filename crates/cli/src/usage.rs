//! Help and usage errors in the words of Docker's command line, from the flag records.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use crate::failure::Failure;
use crate::records::{Entry, is_boolean};

/// The whole help of a verb.
pub fn help(entry: &Entry, command: &Command, spelling: &str) -> String {
    let mut text = format!("Usage:  bulkhead {spelling} {}\n\n{}\n", entry.usage, entry.about);
    if entry.spellings.len() > 1 {
        let all: Vec<String> = entry.spellings.iter().map(|spelling| format!("bulkhead {spelling}")).collect();
        text.push_str(&format!("\nAliases:\n  {}\n", all.join(", ")));
    }
    let mut rows: Vec<(String, String)> = command
        .get_arguments()
        .filter(|arg| !arg.is_positional() && !arg.is_hide_set())
        .map(|arg| (flag_column(arg), arg.get_help().map(ToString::to_string).unwrap_or_default()))
        .collect();
    rows.sort_by_key(|(flag, _)| flag.trim_start_matches([' ', '-']).to_lowercase());
    rows.sort_by_key(|(flag, _)| sort_key(flag));
    if !rows.is_empty() {
        text.push_str("\nOptions:\n");
        text.push_str(&columns(&rows, terminal_width()));
    }
    text
}

fn sort_key(flag: &str) -> String {
    flag.find("--").and_then(|at| flag.get(at + 2..)).unwrap_or(flag.trim_start_matches([' ', '-'])).to_lowercase()
}

fn flag_column(arg: &Arg) -> String {
    let short = arg.get_short().map(|letter| format!("-{letter}"));
    let long = arg.get_long().map(|name| format!("--{name}"));
    let names = match (short, long) {
        (Some(short), Some(long)) => format!("  {short}, {long}"),
        (None, Some(long)) => format!("      {long}"),
        (Some(short), None) => format!("  {short}"),
        (None, None) => String::new(),
    };
    if is_boolean(arg) {
        return names;
    }
    let value = arg.get_value_names().and_then(|names| names.first()).map(|name| name.to_string()).unwrap_or_default();
    let value = if value.chars().any(|c| c.is_ascii_uppercase()) { default_value_name(arg) } else { value };
    format!("{names} {value}")
}

fn default_value_name(arg: &Arg) -> String {
    if matches!(arg.get_action(), clap::ArgAction::Append) { "list".into() } else { "string".into() }
}

/// Two columns, the second wrapped to what is left of the line.
fn columns(rows: &[(String, String)], width: usize) -> String {
    let left = rows.iter().map(|(flag, _)| flag.len()).max().unwrap_or(0) + 3;
    let room = width.saturating_sub(left).max(24);
    let mut text = String::new();
    for (flag, about) in rows {
        let mut lead = flag.clone();
        for line in wrap(about, room) {
            text.push_str(format!("{lead:left$}{line}").trim_end());
            text.push('\n');
            lead.clear();
        }
    }
    text
}

fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

fn terminal_width() -> usize {
    rustix::termios::tcgetwinsize(rustix::stdio::stdout())
        .map(|size| usize::from(size.ws_col))
        .ok()
        .filter(|width| *width >= 40)
        .unwrap_or(80)
}

/// Docker's message for what clap found wrong.
pub fn parse_failure(entry: &Entry, command: &Command, spelling: &str, error: &clap::Error) -> Failure {
    let text = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    let argument = text(ContextKind::InvalidArg);
    let value = text(ContextKind::InvalidValue);
    let record = command.get_arguments().find(|arg| names_of(arg).iter().any(|name| is_named(&argument, name)));
    let message = match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with("--") => {
            format!("unknown flag: {}", argument.split('=').next().unwrap_or_default())
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let letter = argument.chars().nth(1).unwrap_or('-');
            format!("unknown shorthand flag: '{letter}' in {argument}")
        }
        ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::NoEquals if value.is_empty() => {
            let long = record.and_then(Arg::get_long).map(|long| format!("--{long}")).unwrap_or(argument);
            format!("flag needs an argument: {long}")
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_else(|| choices(record));
            let flag = record.map(|arg| names_of(arg).join(", ")).unwrap_or(argument);
            format!("invalid argument {value:?} for {flag:?} flag: {reason}")
        }
        _ => error.to_string().trim_end().trim_start_matches("error: ").to_owned(),
    };
    Failure::usage(format!(
        "{message}\n\nUsage:  bulkhead {spelling} {}\n\nRun 'bulkhead {spelling} --help' for more information",
        entry.usage
    ))
}

fn choices(record: Option<&Arg>) -> String {
    let names: Vec<String> = record
        .map(|arg| arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect())
        .unwrap_or_default();
    format!("must be one of {}", names.join(", "))
}

fn names_of(arg: &Arg) -> Vec<String> {
    let short = arg.get_short().map(|letter| format!("-{letter}"));
    short.into_iter().chain(arg.get_long().map(|long| format!("--{long}"))).collect()
}

/// clap names an argument with its value (`--memory <bytes>`, `--rm[=<RM>]`).
fn is_named(argument: &str, name: &str) -> bool {
    argument.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
}

/// Too few or too many words.
pub fn words_failure(entry: &Entry, spelling: &str) -> Failure {
    let (least, most) = (entry.words.least, entry.words.most);
    let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
    let wants = match (least, most) {
        (0, 0) => "accepts no arguments".to_owned(),
        (least, most) if least == most => format!("requires {least} {}", plural(least)),
        (least, usize::MAX) => format!("requires at least {least} {}", plural(least)),
        (0, most) => format!("requires at most {most} {}", plural(most)),
        (least, most) => format!("requires at least {least} and at most {most} {}", plural(most)),
    };
    Failure {
        message: format!(
            "bulkhead: 'bulkhead {spelling}' {wants}\n\nUsage:  bulkhead {spelling} {}\n\nRun 'bulkhead {spelling} --help' for more information",
            entry.usage
        ),
        code: 1,
        bare: true,
    }
}
