//! Messages as a hostile or broken peer might send them: decoding never panics, and what does decode can be used by
//! every pure function without a panic.

#![allow(clippy::unwrap_used)]

use bulkhead_plan::control::{Exec, Reply, Request};
use bulkhead_plan::handover::{Answer, HandOver};
use bulkhead_plan::{HostFacts, HostMounts, IsolationPlan, Process, Wishes, seccomp, steps};
use bulkhead_types::IdRange;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn plan() -> IsolationPlan {
    IsolationPlan::sealed(Wishes {
        ids: IdRange { base: 0x7000_0000, count: 65_536 }.container_map(),
        hostname: "box".to_owned(),
        process: Process { args: vec!["sh".to_owned()], cwd: "/".to_owned(), ..Process::default() },
        cap_add: vec!["NET_ADMIN".to_owned()],
        host_paths: vec!["/srv".to_owned()],
        host: HostFacts { memory: 8 << 30, open_files: 1 << 20, processors: 2 },
        host_mounts: HostMounts::default(),
        ..Wishes::default()
    })
    .unwrap()
}

fn exec() -> Request {
    Request::Exec(Box::new(Exec { process: plan().process, capabilities: None, own_program: false }))
}

/// Valid messages to start from.
fn seeds() -> Vec<String> {
    let mut seeds = vec![serde_json::to_string(&plan()).unwrap(), serde_json::to_string(&exec()).unwrap()];
    for request in [Request::Pause, Request::Stats, Request::Signal { signal: 9 }, Request::Wait, Request::Root] {
        seeds.push(serde_json::to_string(&request).unwrap());
    }
    seeds.push(serde_json::to_string(&Request::Stop { signal: None, timeout: Some(-1), restart: false }).unwrap());
    seeds.push(serde_json::to_string(&Reply::Done).unwrap());
    seeds
}

/// Whatever decodes is used, and comes back the same from its own text.
fn use_it(bytes: &[u8]) {
    if let Ok(plan) = serde_json::from_slice::<IsolationPlan>(bytes) {
        assert!(bulkhead_plan::explain(&plan).len() < 64 * bytes.len() + 8192, "the text stays in proportion");
        assert!(steps::steps(&plan).len() <= steps::Step::ALL.len());
        assert!(steps::exec_steps(&plan).len() <= steps::Step::ALL.len());
        assert!(seccomp::filter_for(&plan).is_none_or(|filter| !filter.rules.is_empty()));
        again(&plan);
    }
    if let Ok(message) = serde_json::from_slice::<Request>(bytes) {
        again(&message);
    }
    if let Ok(message) = serde_json::from_slice::<Reply>(bytes) {
        again(&message);
    }
    if let Ok(message) = serde_json::from_slice::<Answer>(bytes) {
        again(&message);
    }
    if let Ok(message) = serde_json::from_slice::<HandOver>(bytes) {
        again(&message);
    }
}

fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &T) {
    let text = serde_json::to_vec(message).unwrap();
    assert_eq!(&serde_json::from_slice::<T>(&text).unwrap(), message);
}

#[derive(Clone, Debug)]
enum Damage {
    Set(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    /// Replaces the n-th number.
    Number(usize, &'static str),
}

const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "-9223372036854775808",
    "1e400",
    "0.5",
    "null",
    "\"\"",
];

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        any::<usize>().prop_map(Damage::Cut),
        (any::<usize>(), prop::collection::vec(any::<u8>(), 0..8)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (any::<usize>(), 0..40usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        (any::<usize>(), prop::sample::select(NUMBERS)).prop_map(|(at, number)| Damage::Number(at, number)),
        (any::<usize>(), prop::sample::select(NUMBERS)).prop_map(|(at, number)| Damage::Number(at, number)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let place = |at: usize, bytes: &[u8]| at.checked_rem(bytes.len()).unwrap_or(0);
    match damage {
        Damage::Set(at, byte) => {
            let at = place(*at, bytes);
            if let Some(old) = bytes.get_mut(at) {
                *old = *byte;
            }
        }
        Damage::Cut(at) => bytes.truncate(place(*at, bytes)),
        Damage::Insert(at, new) => {
            let at = place(*at, bytes);
            bytes.splice(at..at, new.iter().copied());
        }
        Damage::Remove(at, length) => {
            let at = place(*at, bytes);
            bytes.drain(at..(at + length).min(bytes.len()));
        }
        Damage::Number(at, number) => {
            let starts: Vec<usize> = (1..bytes.len())
                .filter(|at| bytes[*at].is_ascii_digit() && matches!(bytes[at - 1], b':' | b',' | b'['))
                .collect();
            if !starts.is_empty() {
                let start = starts[place(*at, &vec![0; starts.len()])];
                let end = (start..bytes.len()).find(|at| !bytes[*at].is_ascii_digit()).unwrap_or(bytes.len());
                bytes.splice(start..end, number.bytes());
            }
        }
    }
}

#[test]
fn the_seeds_decode() {
    for seed in seeds() {
        use_it(seed.as_bytes());
    }
}

#[test]
fn unknown_fields_and_other_versions_are_seen() {
    let mut value = serde_json::to_value(plan()).unwrap();
    value["surprise"] = serde_json::json!(1);
    assert!(serde_json::from_value::<IsolationPlan>(value).is_err());
    let text = serde_json::to_string(&plan()).unwrap();
    assert!(text.contains("\"version\":1"));
}

#[test]
fn nesting_is_bounded() {
    for open in ["[", "{\"attach\":", "{\"exec\":{\"process\":"] {
        let deep = open.repeat(100_000);
        use_it(deep.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_messages_never_panic(
        seed in prop::sample::select(seeds()),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let mut bytes = seed.into_bytes();
        for damage in &damages {
            apply(&mut bytes, damage);
        }
        use_it(&bytes);
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        use_it(&bytes);
    }
}
