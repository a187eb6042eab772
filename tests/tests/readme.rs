//! The README's commands, run as they stand there.

use bulkhead_tests::{root_is_here, shared};

/// The lines of the `console` blocks of the section `Use it` that call the program.
fn commands(readme: &str) -> Vec<&str> {
    let section = readme.split("\n## ").find(|section| section.starts_with("Use it\n")).unwrap_or_default();
    let blocks = section.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("console\n"));
    blocks.flat_map(str::lines).filter(|line| line.starts_with("bulkhead ")).collect()
}

/// Splits at spaces outside single quotes, which is all that the README uses.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match (letter, words.last_mut()) {
            ('\'', _) => quoted = !quoted,
            (' ', _) if !quoted => words.push(String::new()),
            (_, Some(word)) => word.push(letter),
            (_, None) => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn each_line_of_use_it_works() {
    if !root_is_here() {
        return;
    }
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).expect("the README");
    let lines = commands(&readme);
    assert!(lines.len() > 4, "the section `Use it` has moved: {lines:?}");
    let home = shared();
    home.bulkhead(["rm", "-f", "web"]);
    let mut failed = Vec::new();
    for line in &lines {
        let mut given: Vec<String> = words(line).into_iter().skip(1).collect();
        // There is no terminal here.
        given.iter_mut().filter(|word| *word == "-it").for_each(|word| *word = "-i".to_owned());
        let run = home.bulkhead(&given);
        if run.code != 0 {
            failed.push(format!("{line}: exit {}: {}", run.code, run.stderr));
        }
    }
    home.bulkhead(["rm", "-f", "web"]);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
