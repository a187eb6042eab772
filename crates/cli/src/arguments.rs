//! From the words behind a verb to the verb itself.
//!
//! Some verbs stop reading options at the first word, so that `run IMAGE --rm` hands `--rm` to the container; clap does
//! not know that habit of Docker's, so the words are arranged before it sees them.

use clap::{ArgMatches, Command};

use crate::failure::Result;
use crate::records::{Entry, is_boolean};
use crate::session::Session;
use crate::{console, usage};

impl Entry {
    /// Parses `arguments` (what stands behind the spelling) and runs the verb.
    pub fn execute(&self, spelling: &str, arguments: Vec<String>, session: &Session) -> Result<u8> {
        let command = self.command();
        let Some(arguments) = self.arrange(&command, arguments) else {
            console::out(&usage::help(self, &command, spelling))?;
            return Ok(0);
        };
        (self.run)(self.matches(command, spelling, arguments)?, session)
    }

    fn matches(&self, mut command: Command, spelling: &str, arguments: Vec<String>) -> Result<ArgMatches> {
        let matches = command
            .try_get_matches_from_mut(arguments)
            .map_err(|error| usage::parse_failure(self, &command, spelling, &error))?;
        self.check_words(&matches, spelling)?;
        Ok(matches)
    }

    fn check_words(&self, matches: &ArgMatches, spelling: &str) -> Result<()> {
        let given = match matches.try_get_many::<String>("words") {
            Ok(Some(words)) => words.len(),
            Ok(None) | Err(_) => 0,
        };
        if (self.words.least..=self.words.most).contains(&given) {
            return Ok(());
        }
        Err(usage::words_failure(self, spelling))
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

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;
    use crate::failure::Failure;
    use crate::records::{Verb, Words, entry};

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

    impl Entry {
        /// Parses only, for tests.
        pub fn parse<V: Verb>(&self, spelling: &str, arguments: Vec<String>) -> Result<V> {
            let command = self.command();
            let arranged = self.arrange(&command, arguments).ok_or_else(|| Failure::new("help"))?;
            let matches = self.matches(command, spelling, arranged)?;
            V::from_arg_matches(&matches).map_err(|error| Failure::usage(error.to_string()))
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
}
