//! Where output cannot go: a full disk, a reader that left.

use std::process::Stdio;

use bulkhead_tests::{DEBIAN, root_is_here, shared};

#[test]
fn a_full_disk_is_an_error() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    for words in [&["ps"][..], &["images"], &["version"], &["info"], &["run", "--rm", DEBIAN, "echo", "x"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = home.command(words).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains("No space left"), "{words:?}: {text}");
    }
}

#[test]
fn a_reader_that_left_ends_the_verb_quietly() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = home.command(["ps"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert!(output.stderr.is_empty());
}
