//! What the guest said on its console.

use std::collections::BTreeMap;

/// Everything that was said.
#[derive(Debug, Default)]
pub struct Report {
    /// By suite.
    pub outcomes: BTreeMap<String, Outcome>,
    /// What went wrong around the suites.
    pub troubles: Vec<String>,
}

/// How one suite ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Its exit code.
    pub code: i32,
    lines: Vec<String>,
}

impl Outcome {
    /// Tests that ran and passed.
    pub fn tests(&self) -> usize {
        let passed = |line: &String| line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse::<usize>().ok();
        self.lines.iter().filter_map(passed).sum()
    }

    /// The test runner's closing line.
    pub fn summary(&self) -> String {
        let closing = self.lines.iter().rev().find(|line| line.starts_with("test result"));
        closing.cloned().unwrap_or_default()
    }

    /// The last lines.
    pub fn tail(&self, count: usize) -> String {
        self.lines[self.lines.len().saturating_sub(count)..].join("\n")
    }
}

/// Reads a console's text: `@@begin SUITE`, its output, `@@end SUITE CODE`.
pub fn read(text: &str) -> Report {
    let mut report = Report::default();
    let mut open: Option<(String, Vec<String>)> = None;
    for line in text.lines() {
        // The kernel may print in the middle of a line; marks stand at the beginning of theirs all the same.
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["@@begin", suite] => open = Some(((*suite).to_owned(), Vec::new())),
            ["@@end", suite, code] => {
                if let Some((name, lines)) = open.take().filter(|(name, _)| name == suite) {
                    report.outcomes.insert(name, Outcome { code: code.parse().unwrap_or(-1), lines });
                }
            }
            ["@@trouble", rest @ ..] => report.troubles.push(rest.join(" ")),
            _ => {
                if let Some((_, lines)) = &mut open {
                    lines.push(line.to_owned());
                }
            }
        }
    }
    report
}

/// The last lines of a text.
pub fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_guest_says() {
        let report =
            read("noise\n@@begin a\ntest result: ok. 3 passed; 0 failed\n@@end a 0\n@@begin b\n@@trouble no disk\n");
        assert_eq!(report.outcomes.len(), 1);
        assert_eq!((report.outcomes["a"].code, report.outcomes["a"].tests()), (0, 3));
        assert_eq!(report.troubles, ["no disk"]);
    }
}
