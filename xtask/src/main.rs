//! The one tool, same at home and in CI: `cargo xtask demo | check | test | bench | floors`.

mod bench;
mod check;
mod demo;
mod floors;
mod guest;
mod leftovers;
mod machine;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <command>

  demo      build, then run a container of a real image and show what holds it   (the README's first command)
  test      everything: check, then all tests; installs what they need and says so (the README's second command)
            test SUITE runs one of: unit, verbs, peers, software, crash
  check     format, clippy, dependencies, floors, tidy
  floors    arrows between crates against xtask/floors.txt, circles between modules, unsafe outside sys and probe
  bench     start, exec, monitor, pull and parallel starts, as paired ratios against the peers that are installed
            bench NAME runs one of them";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let result = match args.first().map(String::as_str) {
        Some("demo") => demo::run(rest),
        Some("test") => test::run(rest),
        Some("check") => check::run(),
        Some("floors") => floors::run(),
        Some("bench") => bench::run(rest),
        _ => Err(anyhow::anyhow!("{USAGE}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
