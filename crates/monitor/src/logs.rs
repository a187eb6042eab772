//! The container's log: Docker's JSON lines, rotated by size, safe for any bytes.
//!
//! A line of output becomes one line of JSON. A line longer than [`LONGEST`] bytes is split into several, of which only
//! the last one ends with a newline inside: so readers can put them together again. Bytes that are no UTF-8 become
//! U+FFFD, as Docker does it.

use std::os::fd::OwnedFd;

use bulkhead_plan::handover::{LogDriver, LogPolicy};
use jiff::Timestamp;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::failure::Failure;
use crate::moment;

/// Bytes of output in one line of the log, as in Docker.
pub(crate) const LONGEST: usize = 16 * 1024;

const CURRENT: &str = "json.log";

/// Which output of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A line that has no end yet. All parts of it carry the time of the first.
#[derive(Debug, Default)]
struct Unfinished {
    bytes: Vec<u8>,
    since: Option<Timestamp>,
}

/// An open log.
#[derive(Debug)]
pub(crate) struct Log {
    /// Directory and current file; `None` keeps nothing.
    target: Option<(OwnedFd, OwnedFd)>,
    size: u64,
    max_size: u64,
    max_files: u32,
    unfinished: [Unfinished; 2],
    lost: u64,
    last_error: Option<Errno>,
}

impl Log {
    /// Opens `log/json.log` in the container's durable directory.
    pub(crate) fn open(data_dir: &OwnedFd, policy: &LogPolicy) -> Result<Self, Failure> {
        let mut log = Self {
            target: None,
            size: 0,
            max_size: policy.max_size,
            max_files: policy.max_files.max(1),
            unfinished: Default::default(),
            lost: 0,
            last_error: None,
        };
        if policy.driver == LogDriver::None {
            return Ok(log);
        }
        let fail = |errno: Errno| Failure::internal(format!("the log directory cannot be used: {errno}"));
        match rustix::fs::mkdirat(data_dir, "log", Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(fail(errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let dir = rustix::fs::openat(data_dir, "log", flags, Mode::empty()).map_err(fail)?;
        let file = open_current(&dir).map_err(fail)?;
        log.size = u64::try_from(rustix::fs::fstat(&file).map_err(fail)?.st_size).unwrap_or(0);
        log.target = Some((dir, file));
        Ok(log)
    }

    /// Takes output in.
    pub(crate) fn take(&mut self, stream: Stream, mut bytes: &[u8]) {
        if self.target.is_none() {
            return;
        }
        let now = Timestamp::now();
        let now_text = moment::text(now);
        let mut lines = Vec::with_capacity(bytes.len() + 128);
        let slot = &mut self.unfinished[stream.index()];
        while !bytes.is_empty() {
            let room = LONGEST - slot.bytes.len();
            let window = bytes.get(..room.min(bytes.len())).unwrap_or(bytes);
            let end = window.iter().position(|&byte| byte == b'\n');
            let taken = end.map_or(window.len(), |at| at + 1);
            let (part, rest) = bytes.split_at(taken);
            bytes = rest;
            if end.is_none() && slot.bytes.len() + part.len() < LONGEST {
                slot.bytes.extend_from_slice(part);
                slot.since.get_or_insert(now);
                break;
            }
            match *slot.since.get_or_insert(now) {
                since if since == now => append_line(&mut lines, stream, &[&slot.bytes, part], &now_text),
                since => append_line(&mut lines, stream, &[&slot.bytes, part], &moment::text(since)),
            }
            // Freed, not kept: between two lines a monitor holds no buffer.
            slot.bytes = Vec::new();
            if end.is_some() {
                slot.since = None;
            }
        }
        self.write(&lines);
    }

    /// Writes lines that never got their end.
    pub(crate) fn finish(&mut self) {
        let mut lines = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let Unfinished { bytes, since } = std::mem::take(&mut self.unfinished[stream.index()]);
            if !bytes.is_empty() {
                append_line(&mut lines, stream, &[&bytes], &moment::text(since.unwrap_or_else(Timestamp::now)));
            }
        }
        self.write(&lines);
    }

    /// What could not be written, in words; empty if nothing was lost.
    pub(crate) fn loss(&self) -> String {
        match self.last_error {
            Some(errno) if self.lost > 0 => format!("{} bytes of the log could not be written: {errno}", self.lost),
            _ => String::new(),
        }
    }

    fn write(&mut self, mut lines: &[u8]) {
        while !lines.is_empty() {
            let portion = self.portion(lines);
            let Some((dir, file)) = &mut self.target else { return };
            if portion == 0 {
                match rotate(dir, self.max_files) {
                    Ok(new) => {
                        *file = new;
                        self.size = 0;
                    }
                    Err(errno) => {
                        // The cap holds even if the disk does not let us rotate.
                        self.lost += lines.len() as u64;
                        self.last_error = Some(errno);
                        return;
                    }
                }
                continue;
            }
            let (now, later) = lines.split_at(portion);
            lines = later;
            match write_whole(file, now) {
                Ok(()) => self.size += now.len() as u64,
                Err(errno) => {
                    self.lost += now.len() as u64;
                    self.last_error = Some(errno);
                }
            }
        }
    }

    /// Bytes of as many whole lines as the file has room for, written at once; an empty file takes at least one line,
    /// so that a file is never larger than the limit but for a single line. 0 means that it is full.
    fn portion(&self, lines: &[u8]) -> usize {
        let room = usize::try_from(self.max_size.saturating_sub(self.size)).unwrap_or(usize::MAX);
        if self.max_size == 0 || lines.len() <= room {
            return lines.len();
        }
        let whole = |window: &[u8]| window.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        match whole(&lines[..room]) {
            0 if self.size == 0 => lines.iter().position(|&byte| byte == b'\n').map_or(lines.len(), |at| at + 1),
            fitting => fitting,
        }
    }
}

/// A line that fits only in part is taken back, so that the file stays readable.
fn write_whole(file: &OwnedFd, line: &[u8]) -> Result<(), Errno> {
    let mut rest = line;
    while !rest.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::write(file, rest)) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(errno) => {
                let written = (line.len() - rest.len()) as u64;
                if written > 0 {
                    let size = u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0);
                    rustix::fs::ftruncate(file, size.saturating_sub(written))?;
                }
                return Err(errno);
            }
        }
    }
    Ok(())
}

fn open_current(dir: &OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(dir, CURRENT, flags, Mode::RUSR | Mode::WUSR)
}

/// `json.log` becomes `json.log.1` and so on; the oldest goes.
fn rotate(dir: &OwnedFd, max_files: u32) -> Result<OwnedFd, Errno> {
    let name = |number: u32| if number == 0 { CURRENT.to_owned() } else { format!("{CURRENT}.{number}") };
    let gone = |done: Result<(), Errno>| match done {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    };
    gone(rustix::fs::unlinkat(dir, name(max_files - 1).as_str(), AtFlags::empty()))?;
    for number in (0..max_files - 1).rev() {
        gone(rustix::fs::renameat(dir, name(number).as_str(), dir, name(number + 1).as_str()))?;
    }
    open_current(dir)
}

fn append_line(lines: &mut Vec<u8>, stream: Stream, parts: &[&[u8]], time: &str) {
    lines.extend_from_slice(b"{\"log\":\"");
    match parts {
        [[], second] => escape(lines, second),
        [single] => escape(lines, single),
        // Joined first: a character may lie across the border.
        several => escape(lines, &several.concat()),
    }
    lines.extend_from_slice(b"\",\"stream\":\"");
    lines.extend_from_slice(stream.name().as_bytes());
    lines.extend_from_slice(b"\",\"time\":\"");
    lines.extend_from_slice(time.as_bytes());
    lines.extend_from_slice(b"\"}\n");
}

/// The inside of a JSON string.
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..0x20 | 0x7f => {
                    const DIGITS: &[u8; 16] = b"0123456789abcdef";
                    out.extend_from_slice(b"\\u00");
                    out.push(DIGITS[usize::from(byte >> 4)]);
                    out.push(DIGITS[usize::from(byte & 15)]);
                }
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        dir: tempfile::TempDir,
        log: Log,
    }

    fn place(max_size: u64, max_files: u32) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let handle: OwnedFd = std::fs::File::open(dir.path()).unwrap().into();
        let policy = LogPolicy { driver: LogDriver::JsonFile, max_size, max_files };
        let log = Log::open(&handle, &policy).unwrap();
        Place { dir, log }
    }

    impl Place {
        fn lines(&self) -> Vec<serde_json::Value> {
            let text = std::fs::read_to_string(self.dir.path().join("log/json.log")).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }

        fn texts(&self) -> Vec<String> {
            self.lines().iter().map(|line| line["log"].as_str().unwrap().to_owned()).collect()
        }

        fn files(&self) -> Vec<String> {
            let mut names: Vec<String> = std::fs::read_dir(self.dir.path().join("log"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    #[test]
    fn lines_are_kept_apart_by_stream_and_joined_over_reads() {
        let mut place = place(0, 1);
        place.log.take(Stream::Stdout, b"one\ntw");
        place.log.take(Stream::Stderr, b"error\n");
        place.log.take(Stream::Stdout, b"o\n");
        assert_eq!(place.texts(), ["one\n", "error\n", "two\n"]);
        assert_eq!(place.lines()[1]["stream"], "stderr");
        let time = place.lines()[0]["time"].as_str().unwrap().to_owned();
        assert!(time.parse::<Timestamp>().is_ok() && time.ends_with('Z'), "{time}");
    }

    #[test]
    fn an_unfinished_line_is_written_at_the_end_without_a_newline() {
        let mut place = place(0, 1);
        place.log.take(Stream::Stdout, b"a\nrest");
        assert_eq!(place.texts(), ["a\n"]);
        place.log.finish();
        place.log.finish();
        assert_eq!(place.texts(), ["a\n", "rest"]);
    }

    #[test]
    fn a_long_line_is_split_and_only_its_last_part_has_the_newline() {
        let mut place = place(0, 1);
        let long = vec![b'x'; 2 * LONGEST + 5];
        for chunk in long.chunks(10_000) {
            place.log.take(Stream::Stdout, chunk);
        }
        place.log.take(Stream::Stdout, b"\nnext\n");
        let texts = place.texts();
        let lengths: Vec<usize> = texts.iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST, LONGEST, 6, 5]);
        assert!(texts[2].ends_with('\n') && !texts[1].ends_with('\n'));
        let lines = place.lines();
        assert_eq!(lines[0]["time"], lines[2]["time"]);
        // A newline exactly behind a full part ends the same line.
        let mut place = self::place(0, 1);
        place.log.take(Stream::Stdout, &vec![b'y'; LONGEST]);
        place.log.take(Stream::Stdout, b"\n");
        assert_eq!(place.texts().iter().map(String::len).collect::<Vec<_>>(), [LONGEST, 1]);
    }

    #[test]
    fn any_bytes_make_valid_json() {
        let mut place = place(0, 1);
        place.log.take(Stream::Stdout, b"\xff\"\\\t\x00\x1b[1m\xe2\x82\n");
        place.log.take(Stream::Stdout, b"\xe2\x82");
        place.log.take(Stream::Stdout, b"\xac\n");
        assert_eq!(place.texts(), ["\u{fffd}\"\\\t\0\u{1b}[1m\u{fffd}\n", "€\n"]);
    }

    #[test]
    fn nothing_depends_on_how_the_output_was_read() {
        let mut seed = 0x2545_f491_4f6c_dd1du64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % below as u64).unwrap()
        };
        for _ in 0..20 {
            let letters = b"abc\"\\\n\n\t\x01";
            let length = random(60_000);
            let rarely = random(3) > 0;
            let text: Vec<u8> = (0..length)
                .map(|_| if rarely && random(1000) > 0 { b'x' } else { letters[random(letters.len())] })
                .collect();
            let mut place = place(0, 1);
            let mut rest = text.as_slice();
            while !rest.is_empty() {
                let (part, left) = rest.split_at(rest.len().min(1 + random(LONGEST)));
                place.log.take(Stream::Stdout, part);
                rest = left;
            }
            place.log.finish();
            let lines = place.texts();
            assert_eq!(lines.concat().as_bytes(), text);
            assert!(lines.iter().all(|line| line.len() <= LONGEST && line.trim_end_matches('\n').find('\n').is_none()));
        }
    }

    #[test]
    fn rotation_keeps_so_many_files_and_no_byte_more() {
        let mut place = place(1000, 3);
        for number in 0..200 {
            place.log.take(Stream::Stdout, format!("line {number}\n").as_bytes());
        }
        assert_eq!(place.files(), ["json.log", "json.log.1", "json.log.2"]);
        for name in place.files() {
            assert!(std::fs::metadata(place.dir.path().join("log").join(name)).unwrap().len() <= 1000);
        }
        assert_eq!(place.texts().last().unwrap(), "line 199\n");
        let mut single = self::place(300, 1);
        for _ in 0..50 {
            single.log.take(Stream::Stdout, b"x\n");
        }
        assert_eq!(single.files(), ["json.log"]);
        assert_eq!(single.log.loss(), "");
    }

    #[test]
    fn a_second_monitor_goes_on_where_the_first_stopped() {
        let mut place = place(0, 1);
        place.log.take(Stream::Stdout, b"one\n");
        let handle: OwnedFd = std::fs::File::open(place.dir.path()).unwrap().into();
        let policy = LogPolicy { driver: LogDriver::JsonFile, max_size: 100, max_files: 2 };
        let mut second = Log::open(&handle, &policy).unwrap();
        assert!(second.size > 0);
        second.take(Stream::Stdout, b"two\n");
        assert_eq!(place.files(), ["json.log", "json.log.1"]);
    }

    #[test]
    fn none_keeps_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let handle: OwnedFd = std::fs::File::open(dir.path()).unwrap().into();
        let policy = LogPolicy { driver: LogDriver::None, max_size: 1, max_files: 1 };
        let mut log = Log::open(&handle, &policy).unwrap();
        log.take(Stream::Stdout, b"x\n");
        log.finish();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_full_disk_loses_lines_but_never_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("log")).unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join("log/json.log")).unwrap();
        let handle: OwnedFd = std::fs::File::open(dir.path()).unwrap().into();
        let policy = LogPolicy { driver: LogDriver::JsonFile, max_size: 0, max_files: 1 };
        assert!(Log::open(&handle, &policy).is_err(), "a link is not followed");
        let mut place = place(0, 1);
        if let Some(target) = &mut place.log.target {
            target.1 = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into();
        }
        place.log.take(Stream::Stdout, b"x\n");
        assert!(place.log.loss().contains("could not be written"), "{}", place.log.loss());
    }
}
