//! From flags to the engine's request.

use bulkhead_engine::{CreateRequest, HealthRequest, PullPolicy, RestartPolicy, Streams};

use super::create_flags::{CreateFlags, LifeFlags, LimitFlags, NetworkFlags, ProcessFlags, WallFlags};
use crate::env;
use crate::failure::{Failure, NOT_STARTED, Result};
use crate::stream::terminal;

fn wrong(message: impl Into<String>) -> Failure {
    Failure { message: message.into(), code: NOT_STARTED, bare: false }
}

impl CreateFlags {
    /// The request. `detached` containers do not lose their standard input when a client leaves.
    pub fn request(self, detached: bool) -> Result<CreateRequest> {
        self.later.refuse()?;
        let attach = self.streams(detached)?;
        let mut words = self.words.into_iter();
        let image = words.next().filter(|image| !image.is_empty());
        let mut request = CreateRequest {
            image: image.ok_or_else(|| wrong("invalid reference format: the image name is empty"))?,
            command: words.collect(),
            volumes: self.files.volume,
            mounts: self.files.mount,
            tmpfs: self.files.tmpfs,
            volumes_from: self.files.volumes_from,
            read_only: self.files.read_only,
            shm_size: self.files.shm_size,
            devices: self.files.device,
            attach,
            ..CreateRequest::default()
        };
        self.process.fill(&mut request, detached).map_err(|failure| failure.or_code(NOT_STARTED))?;
        self.limits.fill(&mut request);
        self.walls.fill(&mut request)?;
        self.network.fill(&mut request);
        self.life.fill(&mut request).map_err(|failure| failure.or_code(NOT_STARTED))?;
        if request.remove && request.restart != RestartPolicy::No {
            return Err(wrong("conflicting options: cannot specify both --restart and --rm"));
        }
        Ok(request)
    }

    /// What the client is attached to.
    pub fn streams(&self, detached: bool) -> Result<Streams> {
        if detached {
            if !self.process.attach.is_empty() {
                return Err(wrong("conflicting options: cannot specify both --attach and --detach"));
            }
            return Ok(Streams::default());
        }
        if self.process.attach.is_empty() {
            return Ok(Streams { stdin: self.process.interactive, stdout: true, stderr: true });
        }
        let mut streams = Streams::default();
        for word in &self.process.attach {
            match word.to_lowercase().as_str() {
                "stdin" => streams.stdin = true,
                "stdout" => streams.stdout = true,
                "stderr" => streams.stderr = true,
                _ => {
                    return Err(Failure::usage(format!(
                        "invalid argument {word:?} for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR"
                    )));
                }
            }
        }
        Ok(streams)
    }
}

impl ProcessFlags {
    fn fill(self, request: &mut CreateRequest, detached: bool) -> Result<()> {
        request.env = env::environment(&self.env_file, &self.env)?;
        request.entrypoint = self.entrypoint;
        request.workdir = self.workdir;
        request.user = self.user.filter(|user| !user.is_empty());
        request.group_add = self.group_add;
        request.init = self.init;
        request.hostname = self.hostname;
        request.domainname = self.domainname;
        request.stdin_open = self.interactive || request.attach.stdin;
        request.stdin_once = request.stdin_open && !detached;
        request.tty = self.tty;
        request.tty_size = if self.tty && !detached { terminal::size() } else { None };
        Ok(())
    }
}

impl LimitFlags {
    fn fill(self, request: &mut CreateRequest) {
        request.memory = self.memory;
        request.memory_swap = self.memory_swap;
        request.memory_reservation = self.memory_reservation;
        request.nano_cpus = self.cpus;
        request.cpu_quota = self.cpu_quota;
        request.cpu_period = self.cpu_period;
        request.cpu_shares = self.cpu_shares;
        request.cpuset_cpus = self.cpuset_cpus;
        request.cpuset_mems = self.cpuset_mems;
        request.pids_limit = self.pids_limit;
        request.blkio_weight = self.blkio_weight.filter(|weight| *weight != 0);
        request.device_read_bps = self.device_read_bps;
        request.device_write_bps = self.device_write_bps;
        request.device_read_iops = self.device_read_iops;
        request.device_write_iops = self.device_write_iops;
        request.ulimits = self.ulimit;
        request.oom_score_adj = self.oom_score_adj;
    }
}

impl WallFlags {
    fn fill(self, request: &mut CreateRequest) -> Result<()> {
        request.isolation = self.isolation.filter(|level| !level.is_empty());
        request.privileged = self.privileged;
        request.cap_add = self.cap_add;
        request.cap_drop = self.cap_drop;
        request.security_opt = self.security_opt;
        for pair in &self.sysctl {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| wrong(format!("invalid argument {pair:?} for --sysctl: write it as NAME=VALUE")))?;
            request.sysctls.insert(key.to_owned(), value.to_owned());
        }
        request.pid_mode = self.pid.unwrap_or_default();
        request.ipc_mode = self.ipc.unwrap_or_default();
        request.uts_mode = self.uts.unwrap_or_default();
        request.userns_mode = self.userns.unwrap_or_default();
        request.cgroupns_mode = self.cgroupns.unwrap_or_default();
        Ok(())
    }
}

impl NetworkFlags {
    fn fill(self, request: &mut CreateRequest) {
        request.network = self.network.unwrap_or_default();
        request.publish = self.publish;
        request.add_host = self.add_host;
        request.dns = self.dns;
        request.dns_search = self.dns_search;
        request.dns_option = self.dns_option;
    }
}

impl LifeFlags {
    fn fill(self, request: &mut CreateRequest) -> Result<()> {
        request.name = self.name.filter(|name| !name.is_empty());
        request.remove = self.rm;
        request.labels = env::labels(&self.label_file, &self.label)?;
        request.annotations = self.annotation.iter().map(|pair| env::split_pair(pair)).collect();
        request.pull = match self.pull.as_deref() {
            Some("always") => PullPolicy::Always,
            Some("never") => PullPolicy::Never,
            _ => PullPolicy::Missing,
        };
        request.platform = self.platform;
        request.restart = restart_policy(self.restart.as_deref().unwrap_or_default())?;
        request.stop_signal = self.stop_signal.filter(|signal| !signal.is_empty());
        request.stop_timeout = self.stop_timeout;
        request.log_driver = self.log_driver.filter(|driver| !driver.is_empty());
        for pair in &self.log_opt {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| wrong(format!("invalid logging opts format: {pair:?}: write it as KEY=VALUE")))?;
            request.log_opts.insert(key.to_owned(), value.to_owned());
        }
        let any_check = self.health_cmd.is_some()
            || self.health_interval.is_some()
            || self.health_timeout.is_some()
            || self.health_start_period.is_some()
            || self.health_start_interval.is_some()
            || self.health_retries.is_some();
        if self.no_healthcheck && any_check {
            return Err(wrong("--no-healthcheck conflicts with --health-* options"));
        }
        request.health = HealthRequest {
            disable: self.no_healthcheck,
            cmd: self.health_cmd,
            interval: self.health_interval,
            timeout: self.health_timeout,
            start_period: self.health_start_period,
            start_interval: self.health_start_interval,
            retries: self.health_retries,
        };
        Ok(())
    }
}

/// `no`, `always`, `unless-stopped`, `on-failure[:max]`.
pub fn restart_policy(text: &str) -> Result<RestartPolicy> {
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => (name, Some(count)),
        None => (text, None),
    };
    match (name, count) {
        ("" | "no", None) => Ok(RestartPolicy::No),
        ("always", None) => Ok(RestartPolicy::Always),
        ("unless-stopped", None) => Ok(RestartPolicy::UnlessStopped),
        ("on-failure", count) => {
            let max = count.map_or(Ok(0), str::parse);
            let max =
                max.map_err(|_| wrong("invalid restart policy format: maximum retry count must be an integer"))?;
            Ok(RestartPolicy::OnFailure { max })
        }
        ("no" | "always" | "unless-stopped", Some(_)) => {
            Err(wrong("invalid restart policy: maximum retry count can only be used with 'on-failure'"))
        }
        _ => Err(wrong(format!(
            "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        ))),
    }
}

#[cfg(test)]
mod tests;
