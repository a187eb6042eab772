//! `-t`: a terminal inside for a terminal outside, made by script(1).

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use bulkhead_tests::{Container, DEBIAN, Home, root_is_here, shared, unique};

/// Runs the program's words on a terminal; writes each answer once the text before it was seen.
fn on_terminal(home: &Home, words: &[&str], talk: &[(&str, &[u8])]) -> (String, i32) {
    let program = home.command(words);
    let line: Vec<String> = std::iter::once(program.get_program())
        .chain(program.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")))
        .collect();
    let line = format!("stty rows 33 cols 77; exec timeout --foreground 60 {}", line.join(" "));
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-f", "-c", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().expect("script(1) is there");
    let mut input = child.stdin.take();
    let mut output = child.stdout.take().expect("a pipe");
    let (mut seen, mut from) = (Vec::new(), 0);
    for (wanted, answer) in talk {
        let mut buffer = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&seen).into_owned();
            if let Some(at) = text.get(from..).and_then(|text| text.find(wanted)) {
                from += at + wanted.len();
                break;
            }
            let count = output.read(&mut buffer).expect("output");
            assert!(count > 0, "{wanted:?} never came: {text}");
            seen.extend_from_slice(&buffer[..count]);
        }
        input.as_mut().expect("open").write_all(answer).expect("it listens");
    }
    output.read_to_end(&mut seen).expect("output");
    drop(input);
    let code = child.wait().expect("it ends").code().unwrap_or(-1);
    (String::from_utf8_lossy(&seen).into_owned(), code)
}

#[test]
fn a_shell_on_a_terminal() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let words = ["run", "--rm", "-it", DEBIAN, "sh", "-c", "tty; stty size; read line; echo got-$line; exit 5"];
    let (text, code) = on_terminal(home, &words, &[("33 77", b"hello\n")]);
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("/dev/pts/0") && text.contains("got-hello"), "{text}");
}

#[test]
fn leaving_and_coming_back() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let name = unique("left");
    let shell = "echo ready; while read line; do echo got-$line; done; exit 6";
    let words = ["run", "--name", &name, "-it", DEBIAN, "sh", "-c", shell];
    let (text, code) = on_terminal(home, &words, &[("ready", b"one\n"), ("got-one", b"\x10\x11")]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(home.inspect(&name, "{{.State.Running}}"), "true");
    let words = ["attach", "--detach-keys", "a,b", &name];
    let (text, code) = on_terminal(home, &words, &[("", b"two\n"), ("got-two", b"ab")]);
    assert_eq!(code, 0, "{text}");
    let (text, code) = on_terminal(home, &["attach", &name], &[("", b"three\n"), ("got-three", b"\x04")]);
    assert_eq!(code, 6, "{text}");
    home.bulkhead(["rm", "-f", &name]).ok();
}

#[test]
fn a_terminal_for_an_exec() {
    if !root_is_here() {
        return;
    }
    let home = shared();
    let box_ = Container::start(home, &[DEBIAN, "sleep", "1000"]);
    let words = ["exec", "-it", &box_.name, "sh", "-c", "stty size; read line; echo got-$line; exit 7"];
    let (text, code) = on_terminal(home, &words, &[("33 77", b"hello\n")]);
    assert_eq!(code, 7, "{text}");
    assert!(text.contains("got-hello"), "{text}");
    // Without a terminal outside there is none to be had for input.
    home.bulkhead(["exec", "-it", &box_.name, "true"]).fails(1).says("TTY");
    home.bulkhead(["run", "--rm", "-it", DEBIAN, "true"]).fails(1).says("not a terminal");
}
