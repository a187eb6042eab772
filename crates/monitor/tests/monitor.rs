//! Drives the real monitor as the engine does: a hand-over with a root of a tmpfs and the host's `/usr`, then the
//! control socket. Each case runs in this one process one after the other; a name picks some.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

#[path = "monitor/house.rs"]
mod house;

#[path = "monitor/life.rs"]
mod life;

#[path = "monitor/streams.rs"]
mod streams;

#[path = "monitor/requests.rs"]
mod requests;

fn main() {
    if !rustix::process::geteuid().is_root() {
        let promised = std::env::var("BULKHEAD_MUST_RUN").unwrap_or_default().contains("root");
        assert!(!promised, "BULKHEAD_MUST_RUN demands root");
        println!("skipped: needs root");
        return;
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let mut failed = Vec::new();
    let mut count = 0;
    for (name, case) in life::ALL.iter().chain(streams::ALL).chain(requests::ALL) {
        if !wanted.is_empty() && !wanted.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        count += 1;
        let before = house::traces();
        let passed = std::panic::catch_unwind(case).is_ok();
        let clean = house::eventually(|| house::traces() == before);
        if !clean {
            println!("left behind by {name}: {before:?} became {:?}", house::traces());
        }
        if !passed || !clean {
            failed.push(*name);
        }
        println!("test {name} ... {}", if passed && clean { "ok" } else { "FAILED" });
    }
    println!("\ntest result: {count} cases, {} failed {failed:?}", failed.len());
    assert!(failed.is_empty());
}
