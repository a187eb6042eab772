//! Finds the program as Docker does, and executes it. Only a failure comes back.
//!
//! A name without a slash is looked for in the directories of the process's own `PATH`; `index` 1 in the failure tells
//! the parent that the search found nothing.

use std::ffi::CString;
use std::os::fd::AsFd as _;

use bulkhead_sys::{process, spawn};
use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;

use crate::scene::{Outcome, Scene, Trouble};

/// Docker's `PATH` where neither the image nor the user gives one.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn run(scene: &mut Scene<'_>) -> Outcome {
    let environment = environment(scene);
    let args = spawn::c_strings(&scene.process.args)?;
    let env = spawn::c_strings(&environment)?;
    if let Some(program) = &scene.own_program {
        return Err(process::execute_descriptor(program.as_fd(), &args, &env).into());
    }
    let found = scene.foreign.as_mut().and_then(|foreign| foreign.program.take());
    let path = match found {
        Some(path) => path,
        None => program(scene, &environment)?,
    };
    Err(process::execute(&path, &args, &env).into())
}

/// Where the program lies: as the final user finds it.
pub(super) fn program(scene: &Scene<'_>, environment: &[String]) -> Result<CString, Trouble> {
    let name = scene.process.args.first().map(String::as_str).unwrap_or_default();
    find(name, value_of(environment, "PATH").unwrap_or(DEFAULT_PATH))
}

fn value_of<'a>(environment: &'a [String], key: &str) -> Option<&'a str> {
    environment.iter().find_map(|entry| entry.strip_prefix(key)?.strip_prefix('='))
}

/// The process's environment with `HOME` of the container's own passwd file.
fn environment(scene: &Scene<'_>) -> Vec<String> {
    let mut environment = scene.process.env.clone();
    if value_of(&environment, "HOME").is_none() {
        let home = scene.account.as_ref().map_or("/", |account| account.home.as_str());
        environment.push(format!("HOME={home}"));
    }
    environment
}

fn find(name: &str, path: &str) -> Result<CString, Trouble> {
    let invalid = || Trouble::new("execve", name, Errno::INVAL);
    if name.contains('/') {
        executable(name)?;
        return CString::new(name).map_err(|_| invalid());
    }
    let mut refused = None;
    for directory in path.split(':').filter(|directory| directory.starts_with('/') && !name.is_empty()) {
        let candidate = format!("{directory}/{name}");
        match executable(&candidate) {
            Ok(()) => return CString::new(candidate).map_err(|_| invalid()),
            Err(trouble) if trouble.errno == Errno::ACCESS.raw_os_error() => refused = Some(trouble),
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| Trouble::new("search", name, Errno::NOENT).at(1)))
}

/// A regular file that this user may execute.
fn executable(path: &str) -> Outcome {
    let stat = rustix::fs::stat(path).map_err(|errno| Trouble::new("stat", path, errno))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Trouble::new("execve", path, Errno::ACCESS));
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(|errno| Trouble::new("access", path, errno))
}
