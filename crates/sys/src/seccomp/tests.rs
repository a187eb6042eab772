//! The compiled program is run by an interpreter and compared with the rules, then by the kernel.

use std::io;

use libc::sock_filter;

use super::assemble::{ARCH, X32_BIT, code};
use super::*;

const EPERM: Verdict = Verdict::Errno(libc::EPERM as u16);
const ENOSYS: Verdict = Verdict::Errno(libc::ENOSYS as u16);

/// A call as the kernel describes it to a filter.
struct Call {
    arch: u32,
    number: u32,
    args: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.arch,
            16..64 => {
                let argument = self.args[(offset as usize - 16) / 8];
                if offset.is_multiple_of(8) { argument as u32 } else { (argument >> 32) as u32 }
            }
            _ => panic!("load from {offset}"),
        }
    }
}

/// Runs classic BPF; panics on anything that the kernel's checker would refuse. Returns the verdict and the steps.
fn interpret(program: &[sock_filter], call: &Call) -> (Verdict, usize) {
    let (mut at, mut accumulator, mut steps) = (0_usize, 0_u32, 0);
    loop {
        let line = program.get(at).unwrap_or_else(|| panic!("jump behind the end, to {at}"));
        steps += 1;
        at += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { line.jt } else { line.jf });
        match line.code {
            code::LOAD => accumulator = call.word(line.k),
            code::AND => accumulator &= line.k,
            code::JUMP => at += line.k as usize,
            code::JUMP_EQUAL => branch(accumulator == line.k),
            code::JUMP_GREATER => branch(accumulator > line.k),
            code::JUMP_GREATER_EQUAL => branch(accumulator >= line.k),
            code::RETURN => {
                let verdict = match line.k {
                    0x7fff_0000 => Verdict::Allow,
                    0x8000_0000 => Verdict::KillProcess,
                    errno if errno >> 16 == 5 => Verdict::Errno(errno as u16),
                    other => panic!("unknown action {other:#x}"),
                };
                return (verdict, steps);
            }
            other => panic!("unknown instruction {other:#x}"),
        }
    }
}

/// A small generator, so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len() as u64) as usize]
    }
}

/// Values around every boundary that matters to a split comparison.
const VALUES: &[u64] = &[
    0,
    1,
    2,
    16,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x1_ffff_ffff,
    0x2_0000_0000,
    0x1_0000_5412,
    0x5412,
    u64::MAX - 1,
    u64::MAX,
    1 << 63,
];

fn random_test(dice: &mut Dice) -> ArgTest {
    let value = dice.pick(VALUES);
    let masks = [0xff, 0xffff_ffff, u64::MAX, 0xffff_ffff_0000_0000, 0x7e02_0000, 1 << 40 | 1];
    let mask = dice.pick(&masks);
    let (compare, value) = match dice.roll(7) {
        0 => (Compare::MaskedEqual { mask }, value & mask),
        1 => (Compare::Equal, value),
        2 => (Compare::NotEqual, value),
        3 => (Compare::Less, value),
        4 => (Compare::LessOrEqual, value),
        5 => (Compare::Greater, value),
        _ => (Compare::GreaterOrEqual, value),
    };
    ArgTest { index: dice.roll(6) as u8, compare, value }
}

fn random_filter(dice: &mut Dice, rules: u64) -> Filter {
    let verdicts = [Verdict::Allow, Verdict::Allow, Verdict::Allow, EPERM, ENOSYS, Verdict::KillProcess];
    let mut all = vec![Rule { number: 60, tests: vec![], verdict: Verdict::Allow }];
    for _ in 0..dice.roll(rules) {
        let tests = (0..dice.roll(5).saturating_sub(1)).map(|_| random_test(dice)).collect();
        all.push(Rule { number: dice.roll(500) as u32, tests, verdict: dice.pick(&verdicts) });
    }
    Filter { foreign: Verdict::KillProcess, unlisted: ENOSYS, unmatched: EPERM, rules: all }
}

fn vectors(dice: &mut Dice, filter: &Filter, count: usize) -> Vec<[u64; 6]> {
    let mut near: Vec<u64> = VALUES.to_vec();
    for test in filter.rules.iter().flat_map(|rule| &rule.tests) {
        near.extend([test.value, test.value.wrapping_add(1), test.value.wrapping_sub(1), test.value | 1 << 32]);
    }
    (0..count).map(|_| std::array::from_fn(|_| dice.pick(&near))).collect()
}

fn assert_same(filter: &Filter, args: &[[u64; 6]]) {
    let program = compile(filter).unwrap();
    for number in (0..700).chain([X32_BIT, X32_BIT + 1, X32_BIT + 520, u32::MAX, 0x8000_0000]) {
        for args in args {
            let call = Call { arch: ARCH, number, args: *args };
            let (verdict, steps) = interpret(&program.0, &call);
            assert_eq!(verdict, filter.verdict(number, args), "call {number} {args:x?} of {filter:?}");
            assert!(steps <= program.len());
        }
    }
}

#[test]
fn random_filters_mean_what_their_rules_say() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for round in 0..300 {
        let filter = random_filter(&mut dice, 40 + round);
        let args = vectors(&mut dice, &filter, 12);
        assert_same(&filter, &args);
    }
}

#[test]
fn large_filters_need_long_jumps_and_still_agree() {
    let mut dice = Dice(7);
    let mut filter = random_filter(&mut dice, 2);
    for number in 0..270 {
        for _ in 0..2 {
            filter.rules.push(Rule { number, tests: vec![random_test(&mut dice)], verdict: Verdict::Allow });
        }
    }
    assert!(compile(&filter).unwrap().0.iter().any(|line| line.code == code::JUMP));
    let args = vectors(&mut dice, &filter, 100);
    assert_same(&filter, &args);
}

#[test]
fn other_architectures_are_foreign_whatever_the_number() {
    let filter = Filter {
        foreign: Verdict::KillProcess,
        unlisted: ENOSYS,
        unmatched: EPERM,
        rules: (0..470).map(|number| Rule { number, tests: vec![], verdict: Verdict::Allow }).collect(),
    };
    let program = compile(&filter).unwrap();
    for number in 0..700 {
        for arch in [0x4000_0003, 0xc000_00b7, 0] {
            let (verdict, _) = interpret(&program.0, &Call { arch, number, args: [0; 6] });
            assert_eq!(verdict, Verdict::KillProcess);
        }
    }
    assert!(program.len() < 12, "one merged range: {}", program.len());
}

#[test]
fn what_protects_nothing_does_not_compile() {
    let allow = |number| Rule { number, tests: vec![], verdict: Verdict::Allow };
    let with = |rules: Vec<Rule>| Filter { foreign: ENOSYS, unlisted: ENOSYS, unmatched: EPERM, rules };
    let rejected = |filter: &Filter| compile(filter).unwrap_err();
    assert_eq!(rejected(&with(vec![])), CompileError::Empty);
    assert_eq!(rejected(&with(vec![Rule { number: 1, tests: vec![], verdict: EPERM }])), CompileError::Empty);
    assert_eq!(rejected(&Filter { unlisted: Verdict::Allow, ..with(vec![allow(1)]) }), CompileError::Open);
    assert_eq!(rejected(&Filter { foreign: Verdict::Allow, ..with(vec![allow(1)]) }), CompileError::Open);
    assert_eq!(rejected(&with(vec![allow(X32_BIT)])), CompileError::Number { number: X32_BIT });
    assert_eq!(
        rejected(&Filter { unmatched: Verdict::Errno(0), ..with(vec![allow(1)]) }),
        CompileError::Errno { errno: 0 }
    );
    let tested = |index, compare, value| {
        with(vec![Rule { number: 1, tests: vec![ArgTest { index, compare, value }], verdict: Verdict::Allow }])
    };
    assert_eq!(rejected(&tested(6, Compare::Equal, 0)), CompileError::Argument { number: 1, index: 6 });
    assert!(matches!(rejected(&tested(0, Compare::MaskedEqual { mask: 0 }, 0)), CompileError::Mask { .. }));
    assert!(matches!(rejected(&tested(0, Compare::MaskedEqual { mask: 1 }, 2)), CompileError::Mask { .. }));
    let huge = (0..400).flat_map(|number| {
        (0..5).map(move |value| Rule {
            number,
            tests: vec![ArgTest { index: 0, compare: Compare::Equal, value: value + u64::from(number) }],
            verdict: Verdict::Allow,
        })
    });
    assert!(matches!(rejected(&with(huge.collect())), CompileError::TooLong { .. }));
}

#[test]
fn the_table_is_sorted_and_agrees_with_libc() {
    assert!(SYSCALLS.windows(2).all(|pair| pair[0].1 < pair[1].1));
    assert_eq!(SYSCALLS.last().unwrap().1, NEWEST);
    for (name, number) in [
        ("read", libc::SYS_read),
        ("clone3", libc::SYS_clone3),
        ("openat2", libc::SYS_openat2),
        ("mseal", libc::SYS_mseal),
        ("epoll_pwait2", libc::SYS_epoll_pwait2),
        ("prlimit64", libc::SYS_prlimit64),
    ] {
        assert_eq!(number_of(name).map(i64::from), Some(number));
        assert_eq!(name_of(number as u32), Some(name));
    }
    for (name, number) in SYSCALLS {
        assert_eq!((number_of(name), name_of(*number)), (Some(*number), Some(*name)));
    }
    assert_eq!(number_of("no_such_call"), None);
    assert_eq!(name_of(400), None);
}

/// A filter belongs to a thread, so a thread of its own is all the isolation the test needs.
#[test]
fn the_kernel_agrees() {
    let allowed = SYSCALLS.iter().filter(|(name, _)| !["getppid", "kcmp", "sysinfo"].contains(name));
    let mut rules: Vec<Rule> =
        allowed.map(|(_, number)| Rule { number: *number, tests: vec![], verdict: Verdict::Allow }).collect();
    rules.push(Rule { number: libc::SYS_getppid as u32, tests: vec![], verdict: EPERM });
    rules.retain(|rule| rule.number != libc::SYS_socket as u32);
    let stream = ArgTest { index: 1, compare: Compare::MaskedEqual { mask: 0xf }, value: 1 };
    let unix = ArgTest { index: 0, compare: Compare::Equal, value: libc::AF_UNIX as u64 };
    rules.push(Rule { number: libc::SYS_socket as u32, tests: vec![unix, stream], verdict: Verdict::Allow });
    let program = compile(&Filter { foreign: ENOSYS, unlisted: ENOSYS, unmatched: EPERM, rules }).unwrap();
    assert_eq!(program.as_bytes().len(), program.len() * 8);

    std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        program.load().unwrap();
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        assert!(status.lines().any(|line| line == "Seccomp:\t2"), "{status}");
        use rustix::net::{AddressFamily, SocketType, socket};
        socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        assert_eq!(socket(AddressFamily::UNIX, SocketType::DGRAM, None).unwrap_err().raw_os_error(), libc::EPERM);
        assert_eq!(socket(AddressFamily::INET, SocketType::STREAM, None).unwrap_err().raw_os_error(), libc::EPERM);
        let call = |number| raw::seccomp::tests::bare_call(number).map_err(|error| error.raw_os_error());
        assert_eq!(call(libc::SYS_getppid), Err(Some(libc::EPERM)));
        assert_eq!(call(libc::SYS_sysinfo), Err(Some(libc::ENOSYS)));
        assert_eq!(call(i64::from(NEWEST) + 100), Err(Some(libc::ENOSYS)));
        assert!(call(libc::SYS_getpid).is_ok());
        // A second, malformed program is refused by the kernel and named in the error.
        let error = Program(vec![]).load().unwrap_err();
        assert_eq!(error.raw(), io::Error::from_raw_os_error(libc::EINVAL).raw_os_error().unwrap());
    })
    .join()
    .unwrap();
}
