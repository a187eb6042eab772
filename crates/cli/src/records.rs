//! The records that flags are made of: one per flag, read by the parser, the help, the man pages and the completions.
//!
//! Docker's parser (pflag) and clap differ in three habits; all three are bridged here and nowhere else:
//! booleans take `=true` and `=false`; a value may start with a dash; some verbs stop reading options at the first
//! word, so that `run IMAGE --rm` hands `--rm` to the container.

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
    run: fn(ArgMatches, &Session) -> Result<u8>,
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

    /// Parses `arguments` (what stands behind the spelling) and runs the verb.
    pub fn execute(&self, spelling: &str, arguments: Vec<String>, session: &Session) -> Result<u8> {
        let command = self.command();
        let Some(arguments) = self.arrange(&command, arguments) else {
            crate::console::out(&crate::usage::help(self, &command, spelling))?;
            return Ok(0);
        };
        (self.run)(self.matches(command, spelling, arguments)?, session)
    }

    fn matches(&self, mut command: Command, spelling: &str, arguments: Vec<String>) -> Result<ArgMatches> {
        let matches = command
            .try_get_matches_from_mut(arguments)
            .map_err(|error| crate::usage::parse_failure(self, &command, spelling, &error))?;
        self.check_words(&matches, spelling)?;
        Ok(matches)
    }

    /// Parses only, for tests.
    #[cfg(test)]
    pub fn parse<V: Verb>(&self, spelling: &str, arguments: Vec<String>) -> Result<V> {
        let command = self.command();
        let arranged = self.arrange(&command, arguments).ok_or_else(|| Failure::new("help"))?;
        let matches = self.matches(command, spelling, arranged)?;
        V::from_arg_matches(&matches).map_err(|error| Failure::usage(error.to_string()))
    }

    fn check_words(&self, matches: &ArgMatches, spelling: &str) -> Result<()> {
        let given = match matches.try_get_many::<String>("words") {
            Ok(Some(words)) => words.len(),
            Ok(None) | Err(_) => 0,
        };
        if (self.words.least..=self.words.most).contains(&given) {
            return Ok(());
        }
        Err(crate::usage::words_failure(self, spelling))
    }

    /// `None` if help was asked for. Otherwise the arguments with `--` where options end.
    fn arrange(&self, command: &Command, arguments: Vec<String>) -> Option<Vec<String>> {
        let mut arranged = Vec::with_capacity(arguments.len() + 1);
        let mut rest = arguments.into_iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                arranged.push(word);
                break;
            }
            if !word.starts_with('-') || word == "-" {
                if self.options_first {
                    arranged.push("--".to_owned());
                    arranged.push(word);
                    break;
                }
                arranged.push(word);
                continue;
            }
            match needs_next_word(command, &word) {
                Shape::Help => return None,
                Shape::Complete => arranged.push(word),
                Shape::TakesNext => {
                    arranged.push(word);
                    arranged.extend(rest.next());
                }
            }
        }
        arranged.extend(rest);
        Some(arranged)
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

enum Shape {
    Help,
    Complete,
    TakesNext,
}

/// Whether this option word takes the next word as its value.
fn needs_next_word(command: &Command, word: &str) -> Shape {
    let takes_value = |arg: &clap::Arg| !is_boolean(arg);
    if let Some(long) = word.strip_prefix("--") {
        if long == "help" {
            return Shape::Help;
        }
        if long.contains('=') {
            return Shape::Complete;
        }
        let found = command.get_arguments().find(|arg| {
            arg.get_long() == Some(long) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
        });
        return if found.is_some_and(takes_value) { Shape::TakesNext } else { Shape::Complete };
    }
    let cluster = word.strip_prefix('-').unwrap_or_default();
    for (at, letter) in cluster.char_indices() {
        let found = command.get_arguments().find(|arg| arg.get_short() == Some(letter));
        match found {
            None if letter == 'h' && cluster == "h" => return Shape::Help,
            None => return Shape::Complete,
            Some(arg) if takes_value(arg) => {
                let last = at + letter.len_utf8() == cluster.len();
                return if last { Shape::TakesNext } else { Shape::Complete };
            }
            Some(_) => {}
        }
    }
    Shape::Complete
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

    /// Pretend
    #[derive(Debug, clap::Args)]
    struct Pretend {
        /// Remove
        #[arg(long)]
        rm: bool,
        /// On
        #[arg(long, action = ArgAction::SetFalse)]
        sig_proxy: bool,
        /// Input
        #[arg(short)]
        i: bool,
        /// Terminal
        #[arg(short)]
        t: bool,
        /// Volume
        #[arg(short, long)]
        volume: Vec<String>,
        /// Number
        #[arg(long)]
        swap: Option<i64>,
        #[arg(hide = true)]
        words: Vec<String>,
    }

    impl Verb for Pretend {
        const SPELLINGS: &'static [&'static str] = &["pretend"];
        const USAGE: &'static str = "[OPTIONS] IMAGE [COMMAND] [ARG...]";
        const ABOUT: &'static str = "Pretend";
        const WORDS: Words = Words::at_least(1);
        const OPTIONS_FIRST: bool = true;
        fn run(self, _: &Session) -> Result<u8> {
            Ok(0)
        }
    }

    fn parse(words: &[&str]) -> std::result::Result<Pretend, String> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        entry::<Pretend>().parse::<Pretend>("pretend", words).map_err(|failure| failure.message)
    }

    #[test]
    fn docker_habits() {
        let parsed = parse(&["-itv/a:/b", "--rm=false", "--swap", "-1", "image", "--rm", "-x", "--", "y"]).unwrap();
        assert!(parsed.i && parsed.t && !parsed.rm && parsed.sig_proxy);
        assert_eq!(parsed.volume, ["/a:/b"]);
        assert_eq!(parsed.swap, Some(-1));
        assert_eq!(parsed.words, ["image", "--rm", "-x", "--", "y"]);
        assert!(parse(&["--rm", "--sig-proxy=false", "x"]).is_ok_and(|p| p.rm && !p.sig_proxy));
        assert_eq!(parse(&["-v", "--rm", "x"]).unwrap().volume, ["--rm"]);
        assert_eq!(parse(&["--", "x", "--rm"]).unwrap().words, ["x", "--rm"]);
        assert_eq!(parse(&["--help"]).unwrap_err(), "help");
        assert!(parse(&["x", "--help"]).is_ok());
    }

    #[test]
    fn docker_messages() {
        let first = |words: &[&str]| parse(words).unwrap_err().lines().next().unwrap_or_default().to_owned();
        assert_eq!(first(&["--foo"]), "unknown flag: --foo");
        assert_eq!(first(&["-iZ", "x"]), "unknown shorthand flag: 'Z' in -Z");
        assert_eq!(first(&["--volume"]), "flag needs an argument: --volume");
        assert_eq!(
            first(&["--rm=foo", "x"]),
            "invalid argument \"foo\" for \"--rm\" flag: strconv.ParseBool: parsing \"foo\": invalid syntax"
        );
    }

    #[test]
    fn processors() {
        assert_eq!(nano_cpus("1.5"), Ok(1_500_000_000));
        assert!(nano_cpus("-1").is_err() && nano_cpus("nan").is_err() && nano_cpus("x").is_err());
    }
}
