//! Cells on a small root of the host's own `/usr`: what is in force inside, what is left behind outside. The cases run
//! one after the other in the one thread that `clone3` needs; `cargo test -p bulkhead-cell --test cell NAME` picks some.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "cell/house.rs"]
mod house;

#[path = "cell/cases.rs"]
mod cases;

#[path = "cell/further.rs"]
mod further;

#[path = "cell/nested.rs"]
mod nested;

fn main() {
    if !rustix::process::geteuid().is_root() {
        assert!(
            !std::env::var("BULKHEAD_MUST_RUN").unwrap_or_default().contains("root"),
            "BULKHEAD_MUST_RUN demands root"
        );
        println!("skipped: needs root");
        return;
    }
    if std::env::args().any(|word| word == nested::INSIDE) {
        std::process::exit(nested::run());
    }
    house::live_apart();
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let mut failed = Vec::new();
    let mut count = 0;
    for (name, case) in cases::ALL.iter().chain(further::ALL).chain(nested::ALL) {
        if !wanted.is_empty() && !wanted.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        count += 1;
        let before = house::traces();
        let result = std::panic::catch_unwind(case);
        let after = house::traces();
        let clean = before == after;
        if result.is_err() || !clean {
            failed.push(*name);
        }
        if !clean {
            println!("left behind: {before:?} became {after:?}");
        }
        println!("test {name} ... {}", if result.is_ok() && clean { "ok" } else { "FAILED" });
    }
    println!("\ntest result: {count} cases, {} failed {failed:?}", failed.len());
    assert!(failed.is_empty());
}
