//! From a request and an image to a `ContainerConfig`: everything is checked here, and nothing is changed.

use bulkhead_image::Image;
use bulkhead_image::config::Runtime;
use bulkhead_plan::Level;
use bulkhead_types::ContainerId;

use crate::engine::Engine;
use crate::model::{Error, Result};
use crate::mounts::{self, MountSpec, clean};
use crate::record::ContainerConfig;
use crate::request::CreateRequest;
use crate::{devices, health, host, logging, resources, signal, userfiles};

impl Engine {
    /// Request and image merged.
    ///
    /// # Errors
    /// Every contradiction, in Docker's words where it has some.
    pub(crate) fn draft(&self, request: &CreateRequest, image: &Image, id: &ContainerId) -> Result<ContainerConfig> {
        refuse_what_is_missing(request)?;
        let runtime = &image.config.config;
        let (entrypoint, command) = words(request, runtime)?;
        let image_volumes: Vec<String> = runtime.volumes.keys().cloned().collect();
        let config = ContainerConfig {
            level: level(request.isolation.as_deref())?,
            entrypoint,
            command,
            env: environment(&runtime.env, &request.env)?,
            workdir: workdir(request, runtime)?,
            user: request.user.clone().unwrap_or_else(|| runtime.user.clone()),
            group_add: request.group_add.clone(),
            hostname: hostname(request, id)?,
            domainname: request.domainname.clone().unwrap_or_default(),
            labels: runtime.labels.clone().into_iter().chain(request.labels.clone()).collect(),
            annotations: request.annotations.clone(),
            exposed_ports: runtime.exposed_ports.keys().cloned().collect(),
            mounts: mounts::merge(request, self.shared(&request.volumes_from)?, &image_volumes)?,
            image_volumes,
            tty: request.tty,
            tty_size: request.tty_size.map(|size| (size.rows, size.columns)),
            stdin_open: request.stdin_open,
            stdin_once: request.stdin_once,
            attach: (request.attach.stdin, request.attach.stdout, request.attach.stderr),
            init: request.init,
            read_only: request.read_only,
            binds: request.volumes.clone(),
            volumes_from: request.volumes_from.clone(),
            add_host: request.add_host.clone(),
            dns: request.dns.clone(),
            dns_search: request.dns_search.clone(),
            dns_option: request.dns_option.clone(),
            limits: resources::limits(request)?,
            nano_cpus: request.nano_cpus.unwrap_or(0),
            rlimits: request.ulimits.iter().map(|text| resources::ulimit(text)).collect::<Result<_>>()?,
            shm_size: request.shm_size.filter(|size| *size != 0),
            cap_add: request.cap_add.clone(),
            cap_drop: request.cap_drop.clone(),
            security_opt: request.security_opt.clone(),
            sysctls: request.sysctls.clone(),
            devices: request.devices.clone(),
            privileged: request.privileged,
            network: network(request)?,
            host_pid: namespace("--pid", &request.pid_mode, &[])?,
            host_ipc: namespace("--ipc", &request.ipc_mode, &["private"])?,
            host_uts: namespace("--uts", &request.uts_mode, &["private"])?,
            host_cgroup: namespace("--cgroupns", &request.cgroupns_mode, &["private"])?,
            oom_score_adj: request.oom_score_adj.unwrap_or(0),
            restart: request.restart,
            remove: request.remove,
            stop_signal: stop_signal(request, runtime)?,
            stop_timeout: request.stop_timeout.or(runtime.stop_timeout),
            health: health::merge(&request.health, runtime.healthcheck.as_ref())?,
            shell: runtime.shell.clone(),
            logs: Some(logging::policy(request.log_driver.as_deref(), &request.log_opts)?),
            log_opts: request.log_opts.clone(),
        };
        check(&config)?;
        Ok(config)
    }

    /// What `--volumes-from NAME[:ro|rw]` brings.
    fn shared(&self, sources: &[String]) -> Result<Vec<MountSpec>> {
        let mut shared: Vec<MountSpec> = Vec::new();
        for source in sources {
            let (name, mode) = source.split_once(':').unwrap_or((source, "rw"));
            if name.is_empty() {
                return Err(Error::invalid(format!("invalid volume specification: '{source}'")));
            }
            if !matches!(mode, "ro" | "rw" | "z" | "Z") {
                return Err(Error::invalid(format!("invalid mode: {mode}")));
            }
            for spec in mounts::share(&self.find(name)?.config.mounts, mode == "ro") {
                if !shared.iter().any(|other| other.target == spec.target) {
                    shared.push(spec);
                }
            }
        }
        Ok(shared)
    }
}

fn check(config: &ContainerConfig) -> Result<()> {
    for entry in &config.add_host {
        userfiles::check_add_host(entry)?;
    }
    userfiles::check_dns(config)?;
    for device in &config.devices {
        devices::resolve(device)?;
    }
    for spec in &config.mounts {
        if let mounts::Source::Bind { path, create: false, .. } = &spec.source
            && !std::path::Path::new(path).exists()
        {
            return Err(Error::invalid(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {path}"
            )));
        }
    }
    if config.remove && config.restart != bulkhead_plan::handover::RestartPolicy::No {
        return Err(Error::invalid("conflicting options: cannot specify both --restart and --rm"));
    }
    let score = config.oom_score_adj;
    if !(-1000..=1000).contains(&score) {
        return Err(Error::invalid(format!("Invalid value {score}, range for oom score adj is [-1000, 1000]")));
    }
    Ok(())
}

fn refuse_what_is_missing(request: &CreateRequest) -> Result<()> {
    if !request.publish.is_empty() {
        return Err(Error::unsupported(format!(
            "-p {}: published ports come with networks, which this version does not have yet; --network host shares the \
             host's network (a concession)",
            request.publish.join(" -p ")
        )));
    }
    if request.userns_mode == "host" {
        return Err(Error::invalid(
            "--userns host: root inside would be root outside; every container has its own id range and there is no \
             way to turn that off",
        ));
    }
    if !matches!(request.userns_mode.as_str(), "" | "private") {
        return Err(Error::invalid(format!(
            "invalid --userns: {}: write private or leave it out",
            request.userns_mode
        )));
    }
    if request.tty && request.log_driver.as_deref() == Some("") {
        return Err(Error::invalid("--log-driver: a name is expected"));
    }
    Ok(())
}

fn level(text: Option<&str>) -> Result<Level> {
    match text.unwrap_or("standard") {
        "" | "default" | "standard" => Ok(Level::Standard),
        "hardened" => Ok(Level::Hardened),
        "vm" => Err(Error::unsupported(
            "--isolation vm: the virtual machine level is not built yet; hardened is the strongest there is",
        )),
        other => Err(Error::invalid(format!("invalid isolation {other:?}: write standard or hardened"))),
    }
}

/// Entry point and command: a new entry point drops the image's command.
fn words(request: &CreateRequest, image: &Runtime) -> Result<(Vec<String>, Vec<String>)> {
    let (entrypoint, inherited) = match request.entrypoint.as_deref() {
        None => (image.entrypoint.clone(), image.cmd.clone()),
        Some("") => (Vec::new(), Vec::new()),
        Some(program) => (vec![program.to_owned()], Vec::new()),
    };
    let command = if request.command.is_empty() { inherited } else { request.command.clone() };
    let words: Vec<&String> = entrypoint.iter().chain(&command).collect();
    if words.is_empty() {
        return Err(Error::invalid("no command specified").exiting(125));
    }
    if words.iter().any(|word| word.contains('\0')) {
        return Err(Error::invalid("the command contains a NUL byte"));
    }
    Ok((entrypoint, command))
}

/// Image first, request over it; the order of first mention stays.
fn environment(image: &[String], request: &[String]) -> Result<Vec<String>> {
    let mut merged: Vec<String> = Vec::new();
    for entry in image.iter().chain(request) {
        let key = entry.split('=').next().unwrap_or_default();
        if key.is_empty() || entry.contains('\0') {
            return Err(Error::invalid(format!("invalid environment variable: {}", entry.escape_debug())));
        }
        let is_same = |other: &&mut String| other.split('=').next() == Some(key);
        match merged.iter_mut().find(is_same) {
            Some(other) => other.clone_from(entry),
            None => merged.push(entry.clone()),
        }
    }
    if !merged.iter().any(|entry| entry.starts_with("PATH=")) {
        merged.insert(0, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    }
    Ok(merged)
}

fn workdir(request: &CreateRequest, image: &Runtime) -> Result<String> {
    let text = request.workdir.as_deref().unwrap_or(&image.working_dir);
    match text {
        "" => Ok("/".into()),
        text if text.starts_with('/') => Ok(clean(text)),
        text => {
            Err(Error::invalid(format!("the working directory '{text}' is invalid, it needs to be an absolute path")))
        }
    }
}

fn hostname(request: &CreateRequest, id: &ContainerId) -> Result<String> {
    let Some(name) = request.hostname.as_deref().filter(|name| !name.is_empty()) else {
        return Ok(if request.uts_mode == "host" { host::name() } else { id.short().to_owned() });
    };
    if request.uts_mode == "host" {
        return Err(Error::invalid("conflicting options: hostname and the UTS mode"));
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() <= 64 && name.split('.').all(label) {
        return Ok(name.to_owned());
    }
    Err(Error::invalid(format!("invalid hostname format: {name}")))
}

fn network(request: &CreateRequest) -> Result<String> {
    match request.network.as_str() {
        "" | "default" => Ok("default".into()),
        "none" => Ok("none".into()),
        "host" => Ok("host".into()),
        other => Err(Error::unsupported(format!(
            "--network {other}: networks are not built yet; use none, the default (loopback only) or host (shares the \
             host's network, a concession)"
        ))),
    }
}

/// True for `host`.
fn namespace(option: &str, text: &str, own: &[&str]) -> Result<bool> {
    match text {
        "" => Ok(false),
        "host" => Ok(true),
        text if own.contains(&text) => Ok(false),
        text if text.starts_with("container:") || text == "shareable" => Err(Error::unsupported(format!(
            "{option} {text}: sharing a namespace between containers is not supported; leave it out, or use host (a concession)"
        ))),
        text => Err(Error::invalid(format!("invalid value for {option}: {text}"))),
    }
}

fn stop_signal(request: &CreateRequest, image: &Runtime) -> Result<Option<String>> {
    let text = request.stop_signal.clone().or_else(|| Some(image.stop_signal.clone()).filter(|text| !text.is_empty()));
    if let Some(text) = &text {
        signal::parse(text)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_entry_point_drops_the_images_command() {
        let image = Runtime { entrypoint: vec!["/e".into()], cmd: vec!["c".into()], ..Runtime::default() };
        let both = |entrypoint: Option<&str>, command: &[&str]| {
            let command = command.iter().map(|word| (*word).to_owned()).collect();
            words(&CreateRequest { entrypoint: entrypoint.map(str::to_owned), command, ..Default::default() }, &image)
        };
        let own = |a: &[&str], b: &[&str]| {
            let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            (list(a), list(b))
        };
        assert_eq!(both(None, &[]).unwrap(), own(&["/e"], &["c"]));
        assert_eq!(both(None, &["d"]).unwrap(), own(&["/e"], &["d"]));
        assert_eq!(both(Some("/x"), &[]).unwrap(), own(&["/x"], &[]));
        assert_eq!(both(Some(""), &["d"]).unwrap(), own(&[], &["d"]));
        assert_eq!(both(Some(""), &[]).unwrap_err().message, "no command specified");
    }

    #[test]
    fn environment_keeps_its_order() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let merged = environment(&list(&["A=1", "PATH=/bin"]), &list(&["B=2", "A=3"])).unwrap();
        assert_eq!(merged, list(&["A=3", "PATH=/bin", "B=2"]));
        assert!(environment(&[], &[]).unwrap()[0].starts_with("PATH=/usr/local/sbin"));
        assert!(environment(&[], &list(&["=x"])).is_err());
    }

    #[test]
    fn what_is_not_built_is_refused_with_the_way_round() {
        let publish = CreateRequest { publish: vec!["80:80".into()], ..Default::default() };
        assert!(refuse_what_is_missing(&publish).unwrap_err().message.contains("--network host"));
        let userns = CreateRequest { userns_mode: "host".into(), ..Default::default() };
        assert!(refuse_what_is_missing(&userns).is_err());
        assert!(level(Some("vm")).unwrap_err().message.contains("hardened"));
        let bridge = CreateRequest { network: "web".into(), ..Default::default() };
        assert!(network(&bridge).is_err());
        assert!(namespace("--pid", "container:x", &[]).is_err());
    }

    #[test]
    fn host_names() {
        let id = ContainerId::from_random([1; 32]);
        let of = |name: &str| hostname(&CreateRequest { hostname: Some(name.into()), ..Default::default() }, &id);
        assert_eq!(of("").unwrap(), id.short());
        assert_eq!(of("web.example").unwrap(), "web.example");
        for bad in ["-a", "a b", "a..b", "ü"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
