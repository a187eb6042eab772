//! What is wrong on the command line is said in Docker's words and changes nothing.

use bulkhead_tests::{DEBIAN, Home};

#[test]
fn wrong_words() {
    // Nothing here gets as far as the engine: no rights are needed, and no root is made.
    let home = Home::new();
    let table: &[(&[&str], i32, &str)] = &[
        (&["run", "--no-such-flag", DEBIAN], 125, "unknown flag: --no-such-flag"),
        (&["run", "-Z", DEBIAN], 125, "unknown shorthand flag: 'Z' in -Z"),
        (&["run", "-m", "lots", DEBIAN], 125, "invalid argument \"lots\" for \"-m, --memory\" flag"),
        (&["run", "--memory"], 125, "flag needs an argument: --memory"),
        (&["run", "--rm=perhaps", DEBIAN], 125, "invalid syntax"),
        (&["run"], 1, "requires at least 1 argument"),
        (&["rename", "one"], 1, "requires 2 arguments"),
        (&["ps", "word"], 1, "accepts no arguments"),
        (&["no-such-verb"], 1, "unknown command: bulkhead no-such-verb"),
        (&["image", "no-such-verb"], 1, "unknown command: bulkhead image no-such-verb"),
        (&["run", "--gpus", "all", DEBIAN], 125, "--gpus cannot be honoured"),
        (&["run", "--link", "x", DEBIAN], 125, "--link cannot be honoured"),
        (&["run", "--rm", "--restart", "always", DEBIAN], 125, "conflicting options"),
        (&["run", "--detach-keys", "nonsense", DEBIAN], 125, "invalid detach keys"),
        (&["ps", "--format", "{{"], 1, "template parsing error"),
    ];
    for (words, code, text) in table {
        home.bulkhead(*words).fails(*code).says(text);
    }
    assert!(!home.folder().join("root").exists());
    home.bulkhead(["--version"]).ok();
}

#[test]
fn help_completions_and_pages_come_from_the_same_records() {
    let home = Home::new();
    assert!(home.bulkhead(["run", "--help"]).ok().contains("--memory-swap bytes"));
    assert!(home.bulkhead(["help", "image", "ls"]).ok().contains("bulkhead images"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.bulkhead(["completion", shell]).ok().contains("memory-swap"), "{shell}");
    }
    let pages = home.folder().join("man");
    home.bulkhead(["man", &pages.display().to_string()]).ok();
    assert!(std::fs::read_to_string(pages.join("bulkhead-run.1")).unwrap().contains("memory"));
}
