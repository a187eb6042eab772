//! The records that flags are made of: one per flag, read by the parser, the help, the man pages and the completions.
//!
//! Docker's parser (pflag) and clap differ in three habits: booleans take `=true` and `=false`; a value may start with a
//! dash; some verbs stop reading options at the first word. The first two are bridged here, the third in `arguments`.

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{ArgAction, ArgMatches, Command};

use crate::failure::{Failure, Result};
use crate::session::Session;

/// How many words a verb wants behind its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// At least.
    pub least: usize,
    /// At most.
    pub most: usize,
}

impl Words {
    /// Exactly `count`.
    pub const fn exactly(count: usize) -> Self {
        Self { least: count, most: count }
    }
    /// `least` or more.
    pub const fn at_least(least: usize) -> Self {
        Self { least, most: usize::MAX }
    }
    /// Between the two.
    pub const fn between(least: usize, most: usize) -> Self {
        Self { least, most }
    }
}

/// One verb: its spellings, its words and what it does. Its flags are the fields of the implementing struct.
pub trait Verb: clap::Args {
    /// All spellings, the one for messages first (`ps`, `container ls`, …).
    const SPELLINGS: &'static [&'static str];
    /// What stands behind the spelling in `Usage:`.
    const USAGE: &'static str;
    /// One sentence.
    const ABOUT: &'static str;
    /// Words behind the options.
    const WORDS: Words;
    /// Options end at the first word.
    const OPTIONS_FIRST: bool = false;
    /// Not shown in help or completions.
    const HIDDEN: bool = false;

    /// Does it. The number is the exit code.
    fn run(self, session: &Session) -> Result<u8>;
}

/// A verb as the table holds it.
pub struct Entry {
    /// See [`Verb::SPELLINGS`].
    pub spellings: &'static [&'static str],
    /// See [`Verb::USAGE`].
    pub usage: &'static str,
    /// See [`Verb::ABOUT`].
    pub about: &'static str,
    /// See [`Verb::WORDS`].
    pub words: Words,
    /// See [`Verb::OPTIONS_FIRST`].
    pub options_first: bool,
    /// See [`Verb::HIDDEN`].
    pub hidden: bool,
    augment: fn(Command) -> Command,
    /// Makes the verb of the matches and runs it.
    pub run: fn(ArgMatches, &Session) -> Result<u8>,
}

/// The table's entry of a verb.
pub const fn entry<V: Verb>() -> Entry {
    Entry {
        spellings: V::SPELLINGS,
        usage: V::USAGE,
        about: V::ABOUT,
        words: V::WORDS,
        options_first: V::OPTIONS_FIRST,
        hidden: V::HIDDEN,
        augment: V::augment_args,
        run: run_matches::<V>,
    }
}

fn run_matches<V: Verb>(matches: ArgMatches, session: &Session) -> Result<u8> {
    V::from_arg_matches(&matches).map_err(|error| Failure::usage(error.to_string()))?.run(session)
}

impl Entry {
    /// The spelling for messages.
    pub fn name(&self) -> &'static str {
        self.spellings.first().copied().unwrap_or_default()
    }

    /// The records as clap knows them, untouched: for man pages and completions.
    pub fn plain_command(&self, name: &'static str) -> Command {
        (self.augment)(Command::new(name)).about(self.about).disable_help_flag(true).hide(self.hidden)
    }

    /// The records with Docker's habits: for parsing.
    pub fn command(&self) -> Command {
        self.plain_command(self.name())
            .args_override_self(true)
            .disable_help_subcommand(true)
            .disable_version_flag(true)
            .no_binary_name(true)
            .mut_args(|arg| match arg.get_action() {
                _ if arg.is_positional() => arg,
                ArgAction::SetTrue | ArgAction::SetFalse => boolean(arg),
                _ => arg.allow_hyphen_values(true),
            })
    }
}

/// A flag of Docker's kind: `--rm`, `--rm=true`, `--rm=false`; `SetFalse` means that it is on by default.
fn boolean(arg: clap::Arg) -> clap::Arg {
    let on = matches!(arg.get_action(), ArgAction::SetFalse);
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value(if on { "true" } else { "false" })
        .value_parser(ValueParser::new(go_bool))
}

/// Go's `strconv.ParseBool`.
fn go_bool(text: &str) -> std::result::Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// True for a flag that needs no value.
pub fn is_boolean(arg: &clap::Arg) -> bool {
    match arg.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => true,
        _ => arg.get_num_args().is_some_and(|range| range.min_values() == 0),
    }
}

/// Bytes as `--memory` takes them.
pub fn bytes(text: &str) -> std::result::Result<u64, String> {
    text.parse::<bulkhead_types::ByteSize>().map(|size| size.0).map_err(|_| format!("invalid size: '{text}'"))
}

/// Bytes, or -1 for no bound.
pub fn bytes_or_unlimited(text: &str) -> std::result::Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    i64::try_from(bytes(text)?).map_err(|_| format!("invalid size: '{text}'"))
}

/// `--cpus`: a decimal number of processors in billionths.
pub fn nano_cpus(text: &str) -> std::result::Result<u64, String> {
    let bad = || format!("failed to parse {text} as a rational number");
    let cpus: f64 = text.parse().map_err(|_| bad())?;
    if !cpus.is_finite() || !(0.0..1_000_000.0).contains(&cpus) {
        return Err(bad());
    }
    Ok((cpus * 1e9).round() as u64)
}

/// A Go duration.
pub fn duration(text: &str) -> std::result::Result<std::time::Duration, String> {
    bulkhead_types::parse_duration(text).map_err(|error| error.to_string())
}

/// `--platform`.
pub fn platform(text: &str) -> std::result::Result<bulkhead_types::Platform, String> {
    let padded = if text.contains('/') { text.to_owned() } else { format!("linux/{text}") };
    padded.parse().map_err(|_| format!("{text:?} is no platform: write os/arch[/variant], for example linux/amd64"))
}

/// A closed list of words.
pub fn one_of(words: &[&'static str]) -> PossibleValuesParser {
    PossibleValuesParser::new(words.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors() {
        assert_eq!(nano_cpus("1.5"), Ok(1_500_000_000));
        assert!(nano_cpus("-1").is_err() && nano_cpus("nan").is_err() && nano_cpus("x").is_err());
    }
}
