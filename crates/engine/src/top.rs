//! `top`: the processes inside, read from /proc by the host pids that the monitor names.

use bulkhead_plan::control::{Reply, Request};
use bulkhead_types::IdMap;

use crate::control::unexpected;
use crate::engine::Engine;
use crate::model::{Error, Result};

/// Columns of `ps -ef`.
const DEFAULT: &[&str] = &["user", "pid", "ppid", "c", "stime", "tty", "time", "cmd"];

/// What is known of one process.
struct Process {
    pid: u32,
    uid: u32,
    /// Fields of `/proc/PID/stat` behind the name: the state is number 0.
    stat: Vec<String>,
    name: String,
    words: String,
    /// KiB.
    memory: u64,
}

impl Engine {
    /// `ps` titles and rows for the processes inside (`ps_args` as given to `top`). Users are those inside; pids are
    /// the host's.
    ///
    /// # Errors
    /// Conflict if it does not run; a column that is not known.
    pub fn top(&self, container: &str, ps_args: &[String]) -> Result<(Vec<String>, Vec<Vec<String>>)> {
        let record = self.find(container)?;
        let columns = columns(ps_args)?;
        let pids = match self.ask_running(&record, &Request::Processes)? {
            Reply::Processes { pids } => pids,
            other => return Err(unexpected(&other)),
        };
        let ids = self.ids_of(record.id.as_str());
        let titles = columns.iter().map(|column| title(column).to_owned()).collect();
        // One that ended meanwhile is left out.
        let rows = pids
            .into_iter()
            .filter_map(read)
            .map(|process| columns.iter().map(|column| cell(column, &process, &ids)).collect());
        Ok((titles, rows.collect()))
    }

    fn ids_of(&self, id: &str) -> IdMap {
        let ranges = self.rootfs.ranges().unwrap_or_default();
        let range = ranges.into_iter().find(|(holder, _)| holder == id);
        range.map(|(_, range)| range.container_map()).unwrap_or_default()
    }
}

/// `-ef` and its like give the default; `-o a,b` or `-eo a,b` chooses.
fn columns(args: &[String]) -> Result<Vec<&'static str>> {
    const KNOWN: &[&str] = &[
        "user", "uid", "pid", "ppid", "pgid", "sid", "c", "pcpu", "stime", "tty", "time", "cmd", "args", "comm",
        "stat", "rss", "vsz", "nice", "nlwp",
    ];
    let mut chosen = Vec::new();
    let mut words = args.iter().flat_map(|arg| arg.split_whitespace());
    while let Some(word) = words.next() {
        let list = match word {
            "-o" | "-eo" | "--format" | "o" => words.next().unwrap_or_default(),
            "-ef" | "-e" | "-f" | "ax" | "aux" | "-aux" | "-A" | "-eF" => continue,
            other => match other.strip_prefix("-o").or_else(|| other.strip_prefix("-eo")) {
                Some(list) => list,
                None => {
                    return Err(Error::unsupported(format!(
                        "top {other}: give -ef or -o with a list of {}",
                        KNOWN.join(",")
                    )));
                }
            },
        };
        for name in list.split(',').filter(|name| !name.is_empty()) {
            let name = match name {
                "command" => "args",
                "tt" | "tname" => "tty",
                "ucmd" => "comm",
                "%cpu" => "pcpu",
                "state" | "s" => "stat",
                "ni" => "nice",
                "pgrp" => "pgid",
                "sess" => "sid",
                "start" | "start_time" => "stime",
                "cputime" => "time",
                "euser" | "ruser" => "user",
                "euid" | "ruid" => "uid",
                other => other,
            };
            let known = KNOWN
                .iter()
                .find(|known| **known == name)
                .ok_or_else(|| Error::invalid(format!("top: unknown column {name:?}; known: {}", KNOWN.join(","))))?;
            chosen.push(*known);
        }
    }
    Ok(if chosen.is_empty() { DEFAULT.to_vec() } else { chosen })
}

fn title(column: &str) -> &'static str {
    match column {
        "user" | "uid" => "UID",
        "pid" => "PID",
        "ppid" => "PPID",
        "pgid" => "PGID",
        "sid" => "SID",
        "c" => "C",
        "pcpu" => "%CPU",
        "stime" => "STIME",
        "tty" => "TTY",
        "time" => "TIME",
        "comm" => "COMMAND",
        "args" => "COMMAND",
        "stat" => "STAT",
        "rss" => "RSS",
        "vsz" => "VSZ",
        "nice" => "NI",
        "nlwp" => "NLWP",
        _ => "CMD",
    }
}

fn read(pid: u32) -> Option<Process> {
    let dir = std::path::PathBuf::from(format!("/proc/{pid}"));
    let stat = std::fs::read_to_string(dir.join("stat")).ok()?;
    // The name may hold spaces and brackets: the last bracket ends it.
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let words = std::fs::read(dir.join("cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&words).trim_end_matches('\0').replace('\0', " ");
    let status = std::fs::read_to_string(dir.join("status")).ok()?;
    let field = |key: &str, at: usize| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().nth(at)?.parse().ok()
    };
    Some(Process {
        pid,
        uid: u32::try_from(field("Uid:", 1)?).ok()?,
        stat: tail.split_whitespace().map(str::to_owned).collect(),
        words: if words.is_empty() { format!("[{name}]") } else { words },
        name,
        // A kernel thread has none.
        memory: field("VmRSS:", 0).unwrap_or(0),
    })
}

fn cell(column: &str, process: &Process, ids: &IdMap) -> String {
    let field = |number: usize| process.stat.get(number).cloned().unwrap_or_default();
    let number = |at: usize| field(at).parse::<u64>().unwrap_or(0);
    // Times in /proc are in hundredths of a second on every Linux.
    let used = (number(11) + number(12)) / 100;
    match column {
        "user" | "uid" => match ids.to_container(process.uid) {
            Ok(0) if column == "user" => "root".into(),
            Ok(uid) => uid.to_string(),
            Err(_) => process.uid.to_string(),
        },
        "pid" => process.pid.to_string(),
        "ppid" => field(1),
        "pgid" => field(2),
        "sid" => field(3),
        "c" | "pcpu" => {
            let share = used * 100 / age(number(19)).max(1);
            if column == "c" { share.to_string() } else { format!("{share}.0") }
        }
        "stime" => {
            let started = jiff::Timestamp::now().as_second() - i64::try_from(age(number(19))).unwrap_or(0);
            jiff::Timestamp::from_second(started).map_or_else(|_| "?".into(), |time| time.strftime("%H:%M").to_string())
        }
        "tty" => match number(4) {
            0 => "?".into(),
            device => format!("pts/{}", (device & 0xff) | ((device >> 12) & 0xfff00)),
        },
        "time" => format!("{:02}:{:02}:{:02}", used / 3600, used / 60 % 60, used % 60),
        "comm" => process.name.clone(),
        "stat" => field(0),
        "rss" => process.memory.to_string(),
        "vsz" => (number(20) / 1024).to_string(),
        "nice" => field(16),
        "nlwp" => field(17),
        _ => process.words.clone(),
    }
}

/// Seconds since a start that is given in hundredths after boot.
fn age(start: u64) -> u64 {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let now: f64 = uptime.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    (now as u64).saturating_sub(start / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_ps() {
        let of = |args: &[&str]| columns(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]).unwrap(), DEFAULT);
        assert_eq!(of(&["-ef"]).unwrap(), DEFAULT);
        assert_eq!(of(&["-o", "pid,comm"]).unwrap(), ["pid", "comm"]);
        assert_eq!(of(&["-eo", "pid,%cpu,command"]).unwrap(), ["pid", "pcpu", "args"]);
        assert!(of(&["-o", "foo"]).is_err());
        assert!(of(&["-Z"]).is_err());
    }

    #[test]
    fn this_process_is_read() {
        let process = read(std::process::id()).unwrap();
        let ids = IdMap::default();
        assert_eq!(cell("pid", &process, &ids), std::process::id().to_string());
        assert!(!cell("cmd", &process, &ids).is_empty());
        assert_eq!(cell("stime", &process, &ids).len(), 5);
        assert!(cell("rss", &process, &ids).parse::<u64>().unwrap() > 0);
    }
}
