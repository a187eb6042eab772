//! The device allow-list: text rules on version 1, a small program on version 2. Everything that is not listed is denied.

use std::os::fd::AsFd as _;

use bulkhead_sys::bpf::{self, Instruction};
use bulkhead_types::ErrorClass;

use crate::error::Error;
use crate::file::Group;
use crate::model::DeviceRule;

/// Denies everything, then allows the rules.
pub(crate) fn apply_v1(group: &Group, rules: &[DeviceRule]) -> Result<(), Error> {
    group.write("devices.deny", "a")?;
    let mut lines = Vec::with_capacity(rules.len());
    for rule in rules {
        check(rule)?;
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        lines.push(format!("{} {}:{} {}", rule.kind, number(rule.major), number(rule.minor), rule.access));
    }
    group.write_each("devices.allow", &lines)
}

/// Compiles, loads and attaches.
pub(crate) fn apply_v2(group: &Group, rules: &[DeviceRule]) -> Result<(), Error> {
    let program = compile(rules)?;
    let fail = |error: bulkhead_sys::SysError| {
        Error::new(
            ErrorClass::Denied,
            format!(
                "cannot attach the device allow-list to {}: {error}; it needs root (CAP_BPF and CAP_NET_ADMIN, or \
                 CAP_SYS_ADMIN) and a kernel with CONFIG_CGROUP_BPF",
                group.path
            ),
        )
    };
    let program = bpf::load_device_program(&program).map_err(fail)?;
    bpf::attach_device_program(group.dir.as_fd(), program.as_fd()).map_err(fail)
}

fn check(rule: &DeviceRule) -> Result<(), Error> {
    let access = !rule.access.is_empty() && rule.access.bytes().all(|byte| b"rwm".contains(&byte));
    if access && matches!(rule.kind, 'c' | 'b') {
        return Ok(());
    }
    Err(Error::new(
        ErrorClass::Invalid,
        format!(
            "the device rule \"{} {}\" is malformed: the kind is c or b, the access some of the letters r, w and m",
            rule.kind, rule.access
        ),
    ))
}

// Registers: 0 result, 1 context, 2 access, 3 kind, 4 major, 5 minor, 6 scratch.
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xbf;
const MOVE_CONSTANT: u8 = 0xb7;
const AND_CONSTANT: u8 = 0x57;
const SHIFT_RIGHT_CONSTANT: u8 = 0x77;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

fn instruction(code: u8, target: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: target | source << 4, offset, immediate }
}

/// The program: `struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }`, where the access type is the
/// rights asked for in the upper and the kind in the lower half (`linux/bpf.h`).
fn compile(rules: &[DeviceRule]) -> Result<Vec<Instruction>, Error> {
    let mut program = vec![
        instruction(LOAD_WORD, 2, 1, 0, 0),
        instruction(MOVE, 3, 2, 0, 0),
        instruction(AND_CONSTANT, 3, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT_CONSTANT, 2, 0, 0, 16),
        instruction(LOAD_WORD, 4, 1, 4, 0),
        instruction(LOAD_WORD, 5, 1, 8, 0),
    ];
    for rule in rules {
        check(rule)?;
        compile_rule(rule, &mut program);
    }
    program.push(instruction(MOVE_CONSTANT, 0, 0, 0, 0));
    program.push(instruction(EXIT, 0, 0, 0, 0));
    Ok(program)
}

fn compile_rule(rule: &DeviceRule, program: &mut Vec<Instruction>) {
    let bits = [('m', 1), ('r', 2), ('w', 4)];
    let allowed: i32 = bits.iter().filter(|(letter, _)| rule.access.contains(*letter)).map(|(_, bit)| bit).sum();
    let mut tests: Vec<(u8, i32)> = vec![(3, if rule.kind == 'b' { 1 } else { 2 })];
    tests.extend(rule.major.map(|major| (4, major.cast_signed())));
    tests.extend(rule.minor.map(|minor| (5, minor.cast_signed())));
    // Behind the tests stand: copy, mask, test, set, exit. A failed test jumps behind them all.
    let mut left = i16::try_from(tests.len()).unwrap_or(0) + 4;
    for (register, value) in tests {
        program.push(instruction(JUMP_UNLESS_EQUAL, register, 0, left, value));
        left -= 1;
    }
    program.push(instruction(MOVE, 6, 2, 0, 0));
    program.push(instruction(AND_CONSTANT, 6, 0, 0, !allowed));
    program.push(instruction(JUMP_UNLESS_EQUAL, 6, 0, 2, 0));
    program.push(instruction(MOVE_CONSTANT, 0, 0, 0, 1));
    program.push(instruction(EXIT, 0, 0, 0, 0));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: char, major: Option<u32>, minor: Option<u32>, access: &str) -> DeviceRule {
        DeviceRule { kind, major, minor, access: access.to_owned() }
    }

    /// Runs the few instructions that the compiler uses.
    fn run(program: &[Instruction], context: [u32; 3]) -> u64 {
        let mut registers = [0u64; 11];
        let mut at = 0usize;
        loop {
            let one = program[at];
            let (target, source) = (usize::from(one.registers & 15), usize::from(one.registers >> 4));
            at += 1;
            match one.code {
                LOAD_WORD => registers[target] = u64::from(context[usize::try_from(one.offset / 4).unwrap()]),
                MOVE => registers[target] = registers[source],
                MOVE_CONSTANT => registers[target] = u64::try_from(one.immediate).unwrap(),
                AND_CONSTANT => registers[target] &= i64::from(one.immediate).cast_unsigned(),
                SHIFT_RIGHT_CONSTANT => registers[target] >>= one.immediate,
                JUMP_UNLESS_EQUAL => {
                    if registers[target] != i64::from(one.immediate).cast_unsigned() {
                        at += usize::try_from(one.offset).unwrap();
                    }
                }
                EXIT => return registers[0],
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn only_what_is_listed_is_allowed() {
        let rules = [rule('c', Some(1), Some(3), "rwm"), rule('c', Some(136), None, "rw"), rule('b', None, None, "m")];
        let program = compile(&rules).unwrap();
        let ask = |kind: u32, rights: u32, major, minor| run(&program, [rights << 16 | kind, major, minor]) == 1;
        let (block, character) = (1, 2);
        assert!(ask(character, 2 | 4, 1, 3), "read and write null");
        assert!(ask(character, 1, 1, 3), "mknod null");
        assert!(!ask(block, 2, 1, 3), "a block device of these numbers");
        assert!(!ask(character, 2, 1, 1), "mem");
        assert!(ask(character, 4, 136, 17), "any pts");
        assert!(!ask(character, 1, 136, 17), "no mknod of it");
        assert!(ask(block, 1, 8, 0) && !ask(block, 1 | 2, 8, 0), "mknod only");
        assert_eq!(run(&compile(&[]).unwrap(), [2 << 16 | 2, 1, 3]), 0, "an empty list allows nothing");
    }

    #[test]
    fn malformed_rules_are_refused() {
        for bad in [rule('a', None, None, "rwm"), rule('c', None, None, ""), rule('c', None, None, "x")] {
            assert!(compile(&[bad]).is_err());
        }
    }

    #[test]
    fn the_kernel_takes_the_program() {
        if !rustix::process::geteuid().is_root() {
            assert!(!std::env::var("BULKHEAD_MUST_RUN").is_ok_and(|list| list.contains("root")));
            return;
        }
        let program = compile(&[rule('c', Some(1), None, "rwm"), rule('b', None, Some(3), "r")]).unwrap();
        bpf::load_device_program(&program).unwrap();
    }
}
