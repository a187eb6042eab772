//! From rules to instructions.
//!
//! The kernel answers calls whose verdict depends on the number alone and is *allow* from a bitmap (Linux 5.11), without
//! running the filter. What runs it are calls with argument tests, so the search tree is weighted towards those.

use libc::sock_filter;

use super::{ArgTest, Compare, CompileError, Filter, Rule, Verdict};

/// Set in the number of an x32 call (`__X32_SYSCALL_BIT`).
pub(super) const X32_BIT: u32 = 0x4000_0000;
/// `AUDIT_ARCH_X86_64` of `linux/audit.h`.
pub(super) const ARCH: u32 = 0xc000_003e;
/// `BPF_MAXINSNS`.
const MAX_INSTRUCTIONS: usize = 4096;
/// Tests in one rule: with it the distances within a rule stay below 255.
const MAX_TESTS: usize = 24;
/// How much nearer to the root a range with argument tests sits than one without.
const TESTED_WEIGHT: usize = 6;

/// Offsets into `struct seccomp_data`, little endian.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGS: u32 = 16;

/// Instruction codes of classic BPF (`linux/filter.h`).
pub(super) mod code {
    pub const LOAD: u16 = 0x20;
    pub const AND: u16 = 0x54;
    pub const JUMP: u16 = 0x05;
    pub const JUMP_EQUAL: u16 = 0x15;
    pub const JUMP_GREATER: u16 = 0x25;
    pub const JUMP_GREATER_EQUAL: u16 = 0x35;
    pub const RETURN: u16 = 0x06;
}

/// What is done with all numbers of one range.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target<'a> {
    Plain(Verdict),
    /// Rules in order, and what holds if none does.
    Tested(Vec<&'a Rule>, Verdict),
}

/// Numbers from `start` up to the next range's start.
struct Range<'a> {
    start: u32,
    target: Target<'a>,
}

pub(super) fn compile(filter: &Filter) -> Result<Vec<sock_filter>, CompileError> {
    validate(filter)?;
    let ranges = ranges(filter);
    // Jumps go forward only, so the code is written from its end: then every distance is known when it is needed.
    let mut reversed = Vec::with_capacity(8 * ranges.len());
    search(&ranges, &mut reversed);
    let mut program = vec![
        load(OFFSET_ARCH),
        jump(code::JUMP_EQUAL, ARCH, 1, 0),
        ret(filter.foreign),
        load(OFFSET_NUMBER),
        // -1, which a tracer may set, has the bit too.
        jump(code::JUMP_GREATER_EQUAL, X32_BIT, 0, 1),
        ret(filter.foreign),
    ];
    program.extend(reversed.into_iter().rev());
    if program.len() > MAX_INSTRUCTIONS {
        return Err(CompileError::TooLong { instructions: program.len() });
    }
    Ok(program)
}

fn validate(filter: &Filter) -> Result<(), CompileError> {
    if [filter.foreign, filter.unlisted, filter.unmatched].contains(&Verdict::Allow) {
        return Err(CompileError::Open);
    }
    if !filter.rules.iter().any(|rule| rule.verdict == Verdict::Allow) {
        return Err(CompileError::Empty);
    }
    [filter.foreign, filter.unlisted, filter.unmatched].into_iter().try_for_each(validate_verdict)?;
    filter.rules.iter().try_for_each(validate_rule)
}

fn validate_verdict(verdict: Verdict) -> Result<(), CompileError> {
    match verdict {
        Verdict::Errno(errno) if errno == 0 || errno > 4095 => Err(CompileError::Errno { errno }),
        _ => Ok(()),
    }
}

fn validate_rule(rule: &Rule) -> Result<(), CompileError> {
    let number = rule.number;
    if number >= X32_BIT {
        return Err(CompileError::Number { number });
    }
    if rule.tests.len() > MAX_TESTS {
        return Err(CompileError::Tests { number, tests: rule.tests.len() });
    }
    validate_verdict(rule.verdict)?;
    for &ArgTest { index, compare, value } in &rule.tests {
        if index > 5 {
            return Err(CompileError::Argument { number, index });
        }
        if let Compare::MaskedEqual { mask } = compare
            && (mask == 0 || value & !mask != 0)
        {
            return Err(CompileError::Mask { number, mask, value });
        }
    }
    Ok(())
}

/// Neighbouring numbers with the same target become one range; the first one starts at 0.
fn ranges(filter: &Filter) -> Vec<Range<'_>> {
    let mut rules: Vec<&Rule> = filter.rules.iter().collect();
    // Stable: within a number the order of precedence stays.
    rules.sort_by_key(|rule| rule.number);
    let unlisted = || Target::Plain(filter.unlisted);
    let mut ranges = vec![Range { start: 0, target: unlisted() }];
    for rules in rules.chunk_by(|one, other| one.number == other.number) {
        let Some(number) = rules.first().map(|rule| rule.number) else { continue };
        push(&mut ranges, number, target(rules, filter.unmatched));
        push(&mut ranges, number + 1, unlisted());
    }
    ranges
}

/// Starts a range, which may replace an empty one or extend its neighbour.
fn push<'a>(ranges: &mut Vec<Range<'a>>, start: u32, target: Target<'a>) {
    if ranges.last().is_some_and(|last| last.start == start) {
        ranges.pop();
    }
    if ranges.last().is_none_or(|last| last.target != target) {
        ranges.push(Range { start, target });
    }
}

/// Rules behind one without tests can never be reached.
fn target<'a>(rules: &[&'a Rule], unmatched: Verdict) -> Target<'a> {
    let always = rules.iter().position(|rule| rule.tests.is_empty());
    let otherwise = always.and_then(|at| rules.get(at)).map_or(unmatched, |rule| rule.verdict);
    let tested = rules.get(..always.unwrap_or(rules.len())).unwrap_or_default();
    if tested.iter().all(|rule| rule.verdict == otherwise) {
        return Target::Plain(otherwise);
    }
    Target::Tested(tested.to_vec(), otherwise)
}

/// A binary search whose halves are equally heavy, last instruction first. `ranges` is never empty.
fn search(ranges: &[Range<'_>], out: &mut Vec<sock_filter>) {
    let Some(middle) = balance(ranges) else {
        if let Some(range) = ranges.first() {
            leaf(&range.target, out);
        }
        return;
    };
    let (low, high) = ranges.split_at(middle);
    let boundary = high.first().map_or(0, |range| range.start);
    search(high, out);
    let behind = out.len();
    search(low, out);
    let distance = out.len() - behind;
    match u8::try_from(distance) {
        Ok(distance) => out.push(jump(code::JUMP_GREATER_EQUAL, boundary, distance, 0)),
        // Conditional jumps reach 255 instructions, the unconditional one everything.
        Err(_) => {
            out.push(statement(code::JUMP, u32::try_from(distance).unwrap_or(u32::MAX)));
            out.push(jump(code::JUMP_GREATER_EQUAL, boundary, 0, 1));
        }
    }
}

/// Where to split so that the heavier half is as light as possible; `None` for a single range.
fn balance(ranges: &[Range<'_>]) -> Option<usize> {
    let weight = |range: &Range<'_>| match range.target {
        Target::Plain(_) => 1,
        Target::Tested(..) => TESTED_WEIGHT,
    };
    let total: usize = ranges.iter().map(weight).sum();
    let mut low = 0;
    let mut best: Option<(usize, usize)> = None;
    for (index, range) in ranges.iter().enumerate().skip(1) {
        low += ranges.get(index - 1).map_or(0, weight);
        let heavier = low.max(total - low);
        if best.is_none_or(|(least, _)| heavier < least) {
            best = Some((heavier, index));
        }
        debug_assert!(range.start > 0);
    }
    best.map(|(_, index)| index)
}

/// Last instruction first.
fn leaf(target: &Target<'_>, out: &mut Vec<sock_filter>) {
    let (rules, otherwise) = match target {
        Target::Plain(verdict) => (&[][..], verdict),
        Target::Tested(rules, otherwise) => (rules.as_slice(), otherwise),
    };
    out.push(ret(*otherwise));
    for rule in rules.iter().rev() {
        let end = out.len();
        out.push(ret(rule.verdict));
        // A test that fails jumps behind the verdict of its rule.
        for test in rule.tests.iter().rev() {
            one_test(test, out.len() - end, out);
        }
    }
}

/// Where a comparison goes on: the next instruction after the whole test, or the end of the rule.
#[derive(Clone, Copy)]
enum Exit {
    Holds,
    Fails,
    /// The next instruction.
    Next,
}

/// A 64-bit test on two 32-bit halves; `rest` instructions stand between its end and the end of the rule.
fn one_test(test: &ArgTest, rest: usize, out: &mut Vec<sock_filter>) {
    use Exit::{Fails, Holds, Next};
    use code::{JUMP_EQUAL as EQUAL, JUMP_GREATER as GREATER, JUMP_GREATER_EQUAL as GREATER_EQUAL};
    let (high, low) = ((test.value >> 32) as u32, test.value as u32);
    let offset = OFFSET_ARGS + 8 * u32::from(test.index);
    let (load_high, load_low) = (Line::Load(offset + 4), Line::Load(offset));
    let lines = match test.compare {
        Compare::MaskedEqual { mask } => masked(offset, mask, test.value),
        Compare::Equal => {
            vec![load_high, Line::Jump(EQUAL, high, Next, Fails), load_low, Line::Jump(EQUAL, low, Holds, Fails)]
        }
        Compare::NotEqual => {
            vec![load_high, Line::Jump(EQUAL, high, Next, Holds), load_low, Line::Jump(EQUAL, low, Fails, Holds)]
        }
        Compare::Greater | Compare::GreaterOrEqual => {
            let last = if test.compare == Compare::Greater { GREATER } else { GREATER_EQUAL };
            vec![
                load_high,
                Line::Jump(GREATER, high, Holds, Next),
                Line::Jump(EQUAL, high, Next, Fails),
                load_low,
                Line::Jump(last, low, Holds, Fails),
            ]
        }
        Compare::Less | Compare::LessOrEqual => {
            let last = if test.compare == Compare::Less { GREATER_EQUAL } else { GREATER };
            vec![
                load_high,
                Line::Jump(GREATER, high, Fails, Next),
                Line::Jump(EQUAL, high, Next, Holds),
                load_low,
                Line::Jump(last, low, Fails, Holds),
            ]
        }
    };
    resolve(&lines, rest, out);
}

/// Only the halves that the mask touches.
fn masked(offset: u32, mask: u64, value: u64) -> Vec<Line> {
    let halves = [(offset + 4, (mask >> 32) as u32, (value >> 32) as u32), (offset, mask as u32, value as u32)];
    let mut lines = Vec::new();
    for (offset, mask, value) in halves.into_iter().filter(|(_, mask, _)| *mask != 0) {
        lines.push(Line::Load(offset));
        if mask != u32::MAX {
            lines.push(Line::And(mask));
        }
        lines.push(Line::Jump(code::JUMP_EQUAL, value, Exit::Next, Exit::Fails));
    }
    lines
}

/// An instruction whose jumps are not yet distances.
#[derive(Clone, Copy)]
enum Line {
    Load(u32),
    And(u32),
    Jump(u16, u32, Exit, Exit),
}

/// Last instruction first.
fn resolve(lines: &[Line], rest: usize, out: &mut Vec<sock_filter>) {
    for (behind, line) in lines.iter().rev().enumerate() {
        let distance = |exit: Exit| {
            // `MAX_TESTS` tests of at most six instructions and one verdict stand in a rule, so the distance fits.
            let distance = match exit {
                Exit::Next => 0,
                Exit::Holds => behind,
                Exit::Fails => behind + rest,
            };
            u8::try_from(distance).unwrap_or(u8::MAX)
        };
        out.push(match *line {
            Line::Load(offset) => load(offset),
            Line::And(mask) => statement(code::AND, mask),
            Line::Jump(code, value, yes, no) => jump(code, value, distance(yes), distance(no)),
        });
    }
}

fn load(offset: u32) -> sock_filter {
    statement(code::LOAD, offset)
}

fn ret(verdict: Verdict) -> sock_filter {
    let action = match verdict {
        Verdict::Allow => 0x7fff_0000,
        Verdict::Errno(errno) => 0x0005_0000 | u32::from(errno),
        Verdict::KillProcess => 0x8000_0000,
    };
    statement(code::RETURN, action)
}

const fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}
