//! `inspect`: Docker's shape (Engine API v1.51), with `Bulkhead` added.

use bulkhead_image::config::Runtime;
use bulkhead_plan::handover::{LogDriver, RestartPolicy};
use bulkhead_plan::{Concession, IsolationPlan, ThrottleKind};
use serde_json::{Map, Value, json};

use crate::clock;
use crate::engine::Engine;
use crate::lifecycle::seal_dry;
use crate::model::Result;
use crate::mounts::{MountSpec, Source};
use crate::record::{ContainerConfig, Record};
use crate::standing::{Standing, Status};

impl Engine {
    /// Docker's shape, with `Bulkhead` added: level, concessions in words, walls, id range.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn inspect(&self, container: &str, size: bool) -> Result<Value> {
        let record = self.find(container)?;
        let standing = self.standing(&record)?;
        let config = &record.config;
        let args = config.args();
        let dir = self.layout.container(record.id.as_str());
        let upper = self.layout.root.join("uppers").join(record.id.as_str());
        let mut view = json!({
            "Id": record.id,
            "Created": record.created,
            "Path": args.first(),
            "Args": args.get(1..).unwrap_or_default(),
            "State": state(&record, &standing),
            "Image": record.image_id,
            "ResolvConfPath": upper.join("files/resolv.conf"),
            "HostnamePath": upper.join("files/hostname"),
            "HostsPath": upper.join("files/hosts"),
            "LogPath": log_path(config, &dir),
            "Name": format!("/{}", record.name),
            "RestartCount": record.restarts,
            "Driver": "bulkhead",
            "Platform": "linux",
            "MountLabel": "",
            "ProcessLabel": "",
            "AppArmorProfile": "",
            "ExecIDs": null,
            "HostConfig": host_config(config),
            "GraphDriver": { "Name": "bulkhead", "Data": { "UpperDir": upper.join("up"), "WorkDir": upper.join("work") } },
            "Mounts": self.mounts(config),
            "Config": container_config(&record),
            "NetworkSettings": network(config),
            "Bulkhead": self.bulkhead(&record, &standing)?,
        });
        if size && let Some(fields) = view.as_object_mut() {
            let rw = self.rootfs.upper_size(record.id.as_str())?;
            let layers: u64 = record.layers.iter().map(|layer| self.rootfs.layer_size(layer)).sum();
            fields.insert("SizeRw".into(), rw.into());
            fields.insert("SizeRootFs".into(), (rw + layers).into());
        }
        Ok(view)
    }

    fn mounts(&self, config: &ContainerConfig) -> Vec<Value> {
        config.mounts.iter().map(|spec| self.mount(spec)).collect()
    }

    fn mount(&self, spec: &MountSpec) -> Value {
        let mode = if spec.read_only { "ro" } else { "" };
        let common = json!({
            "Type": spec.kind(), "Source": "", "Destination": spec.target, "Mode": mode, "RW": !spec.read_only,
            "Propagation": "",
        });
        let mut fields = match common {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        match &spec.source {
            Source::Bind { path, .. } => {
                fields.insert("Source".into(), path.clone().into());
                fields.insert("Propagation".into(), "rprivate".into());
            }
            Source::Volume(volume) => {
                let name = volume.name.clone().unwrap_or_default();
                fields.insert("Source".into(), json!(self.rootfs.volume_path(&name)));
                fields.insert("Name".into(), name.into());
                fields.insert("Driver".into(), "local".into());
            }
            Source::Tmpfs { .. } => {}
        }
        Value::Object(fields)
    }

    /// What this engine adds: how the container is held.
    fn bulkhead(&self, record: &Record, standing: &Standing) -> Result<Value> {
        let kept = std::fs::read(self.layout.running(record.id.as_str()).join("plan.json")).ok();
        let plan: IsolationPlan = match kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            Some(plan) => plan,
            None => seal_dry(&record.config)?,
        };
        let json = serde_json::to_vec(&plan).unwrap_or_default();
        let is_running = standing.status.is_alive();
        Ok(json!({
            "Isolation": plan.level,
            "Concessions": plan.concessions.iter().map(concession).collect::<Vec<_>>(),
            "Walls": standing.state.as_ref().map(|state| &state.walls),
            "IdRange": is_running.then_some(&plan.ids),
            "Limits": plan.limits,
            "PlanDigest": format!("sha256:{}", digest(&json)),
            "LimitHit": standing.exit.as_ref().map(|exit| exit.limit.clone()).filter(|limit| !limit.is_empty()),
        }))
    }
}

/// A concession's name and its sentence.
pub(crate) fn concession(concession: &Concession) -> Value {
    let value = serde_json::to_value(concession).unwrap_or_default();
    json!({
        "Name": value.get("name"),
        "Detail": value.get("detail"),
        "Sentence": format!("{}: {}", concession.title(), concession.consequence()),
    })
}

fn digest(bytes: &[u8]) -> String {
    bulkhead_archive::hash::Hasher::sha256(bytes).hex().to_owned()
}

fn state(record: &Record, standing: &Standing) -> Value {
    let status = standing.status;
    let run = standing.state.as_ref().filter(|_| status.is_alive());
    let exit = standing.exit.as_ref();
    let started = run.map(|run| run.started_at.clone()).or_else(|| record.started_at.clone());
    let error =
        record.start_error.as_ref().map(|(text, _)| text.clone()).or_else(|| exit.map(|exit| exit.error.clone()));
    let mut view = json!({
        "Status": status.word(),
        "Running": status.is_alive(),
        "Paused": status == Status::Paused,
        "Restarting": status == Status::Restarting,
        "OOMKilled": !status.is_alive() && exit.is_some_and(|exit| exit.oom_killed),
        "Dead": false,
        "Pid": run.map_or(0, |run| run.pid),
        "ExitCode": standing.exit_code(record),
        "Error": if status.is_alive() { String::new() } else { error.unwrap_or_default() },
        "StartedAt": started.unwrap_or_else(|| clock::NEVER.into()),
        "FinishedAt": exit.map_or_else(|| clock::NEVER.into(), |exit| exit.finished_at.clone()),
    });
    if let (Some(run), Some(fields)) = (run, view.as_object_mut())
        && let Some(health) = &run.health
    {
        let log: Vec<Value> = run
            .health_log
            .iter()
            .map(|one| json!({ "Start": one.start, "End": one.end, "ExitCode": one.exit_code, "Output": one.output }))
            .collect();
        fields.insert("Health".into(), json!({ "Status": health, "FailingStreak": run.failing_streak, "Log": log }));
    }
    view
}

fn log_path(config: &ContainerConfig, dir: &std::path::Path) -> Value {
    match &config.logs {
        Some(policy) if policy.driver == LogDriver::JsonFile => json!(dir.join("log/json.log")),
        _ => json!(""),
    }
}

/// Docker's `Config` of a container.
fn container_config(record: &Record) -> Value {
    let config = &record.config;
    json!({
        "Hostname": config.hostname,
        "Domainname": config.domainname,
        "User": config.user,
        "AttachStdin": config.attach.0,
        "AttachStdout": config.attach.1,
        "AttachStderr": config.attach.2,
        "ExposedPorts": object(&config.exposed_ports),
        "Tty": config.tty,
        "OpenStdin": config.stdin_open,
        "StdinOnce": config.stdin_once,
        "Env": config.env,
        "Cmd": words(&config.command),
        "Healthcheck": config.health,
        "Image": record.image,
        "Volumes": object(&config.image_volumes),
        "WorkingDir": config.workdir,
        "Entrypoint": words(&config.entrypoint),
        "OnBuild": null,
        "Labels": config.labels,
        "StopSignal": config.stop_signal.clone().unwrap_or_else(|| "SIGTERM".into()),
        "StopTimeout": config.stop_timeout,
        "Shell": words(&config.shell),
    })
}

/// Docker's `Config` of an image.
pub(crate) fn image_config(config: &Runtime) -> Value {
    json!({
        "User": config.user,
        "ExposedPorts": (!config.exposed_ports.is_empty()).then_some(&config.exposed_ports),
        "Env": config.env,
        "Cmd": words(&config.cmd),
        "Healthcheck": config.healthcheck,
        "Volumes": (!config.volumes.is_empty()).then_some(&config.volumes),
        "WorkingDir": config.working_dir,
        "Entrypoint": words(&config.entrypoint),
        "OnBuild": words(&config.on_build),
        "Labels": (!config.labels.is_empty()).then_some(&config.labels),
        "StopSignal": config.stop_signal,
        "StopTimeout": config.stop_timeout,
        "Shell": words(&config.shell),
    })
}

fn words(list: &[String]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}

fn object(keys: &[String]) -> Value {
    if keys.is_empty() {
        return Value::Null;
    }
    Value::Object(keys.iter().map(|key| (key.clone(), json!({}))).collect())
}

fn host_config(config: &ContainerConfig) -> Value {
    let mut view = settings(config);
    if let (Some(fields), Value::Object(more)) = (view.as_object_mut(), resources(config)) {
        fields.extend(more);
    }
    view
}

fn settings(config: &ContainerConfig) -> Value {
    let mode = |host: bool, own: &str| if host { "host".to_owned() } else { own.to_owned() };
    json!({
        "Binds": words(&config.binds),
        "ContainerIDFile": "",
        "LogConfig": log_config(config),
        "NetworkMode": config.network,
        "PortBindings": {},
        "RestartPolicy": restart_policy(config.restart),
        "AutoRemove": config.remove,
        "VolumeDriver": "",
        "VolumesFrom": words(&config.volumes_from),
        "ConsoleSize": config.tty_size.map_or([0, 0], |(rows, columns)| [rows, columns]),
        "Annotations": config.annotations,
        "CapAdd": words(&config.cap_add),
        "CapDrop": words(&config.cap_drop),
        "CgroupnsMode": mode(config.host_cgroup, "private"),
        "Dns": config.dns,
        "DnsOptions": config.dns_option,
        "DnsSearch": config.dns_search,
        "ExtraHosts": words(&config.add_host),
        "GroupAdd": words(&config.group_add),
        "IpcMode": mode(config.host_ipc, "private"),
        "OomScoreAdj": config.oom_score_adj,
        "PidMode": mode(config.host_pid, ""),
        "Privileged": config.privileged,
        "PublishAllPorts": false,
        "ReadonlyRootfs": config.read_only,
        "SecurityOpt": words(&config.security_opt),
        "Sysctls": config.sysctls,
        "Tmpfs": tmpfs(config),
        "UTSMode": mode(config.host_uts, ""),
        "UsernsMode": "private",
        "ShmSize": config.shm_size.unwrap_or(64 << 20),
        "Runtime": "bulkhead",
        "Isolation": config.level,
        "Init": config.init,
    })
}

fn resources(config: &ContainerConfig) -> Value {
    let limits = &config.limits;
    let throttle = |kind: ThrottleKind| -> Vec<Value> {
        let of = limits.throttle.iter().filter(|throttle| throttle.kind == kind);
        of.map(|t| json!({ "Path": format!("/dev/block/{}:{}", t.major, t.minor), "Rate": t.rate })).collect()
    };
    let swap = match (limits.memory, limits.swap) {
        (_, Some(u64::MAX)) => -1,
        (Some(memory), swap) => i64::try_from(memory.saturating_add(swap.unwrap_or(0))).unwrap_or(-1),
        (None, _) => 0,
    };
    let bound = |value: Option<u64>| value.map_or(-1, |value| i64::try_from(value).unwrap_or(-1));
    let ulimits = config
        .rlimits
        .iter()
        .map(|limit| json!({ "Name": limit.name, "Soft": bound(limit.soft), "Hard": bound(limit.hard) }));
    json!({
        "CpuShares": limits.cpu_shares.unwrap_or(0),
        "Memory": limits.memory.unwrap_or(0),
        "NanoCpus": config.nano_cpus,
        "CgroupParent": "",
        "BlkioWeight": limits.blkio_weight.unwrap_or(0),
        "BlkioDeviceReadBps": throttle(ThrottleKind::ReadBps),
        "BlkioDeviceWriteBps": throttle(ThrottleKind::WriteBps),
        "BlkioDeviceReadIOps": throttle(ThrottleKind::ReadIops),
        "BlkioDeviceWriteIOps": throttle(ThrottleKind::WriteIops),
        "CpuPeriod": limits.cpu_period.filter(|_| config.nano_cpus == 0).unwrap_or(0),
        "CpuQuota": limits.cpu_quota.filter(|_| config.nano_cpus == 0).unwrap_or(0),
        "CpusetCpus": limits.cpuset_cpus.clone().unwrap_or_default(),
        "CpusetMems": limits.cpuset_mems.clone().unwrap_or_default(),
        "Devices": config.devices,
        "MemoryReservation": limits.memory_reservation.unwrap_or(0),
        "MemorySwap": swap,
        "OomKillDisable": false,
        "PidsLimit": limits.pids.map(|pids| bound(Some(pids))),
        "Ulimits": ulimits.collect::<Vec<_>>(),
    })
}

fn log_config(config: &ContainerConfig) -> Value {
    let name = match &config.logs {
        Some(policy) if policy.driver == LogDriver::None => "none",
        _ => "json-file",
    };
    json!({ "Type": name, "Config": config.log_opts })
}

fn tmpfs(config: &ContainerConfig) -> Value {
    let entries: Map<String, Value> = config
        .mounts
        .iter()
        .filter(|spec| matches!(spec.source, Source::Tmpfs { .. }))
        .map(|spec| (spec.target.clone(), json!("")))
        .collect();
    if entries.is_empty() { Value::Null } else { Value::Object(entries) }
}

fn restart_policy(policy: RestartPolicy) -> Value {
    let (name, count) = match policy {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::OnFailure { max } => ("on-failure", max),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
    };
    json!({ "Name": name, "MaximumRetryCount": count })
}

/// Docker's `NetworkSettings`: names only, until networks exist.
fn network(config: &ContainerConfig) -> Value {
    let endpoint = json!({
        "IPAMConfig": null, "Links": null, "Aliases": null, "MacAddress": "", "NetworkID": "", "EndpointID": "",
        "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0, "DNSNames": null,
    });
    json!({
        "Bridge": "", "SandboxID": "", "SandboxKey": "", "Ports": {}, "EndpointID": "", "Gateway": "", "IPAddress": "",
        "IPPrefixLen": 0, "MacAddress": "", "Networks": { config.network.clone(): endpoint },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::sample;

    #[test]
    fn swap_is_shown_with_memory() {
        let mut config = sample().config;
        config.limits.memory = Some(64 << 20);
        assert_eq!(host_config(&config)["MemorySwap"], 64 << 20);
        config.limits.swap = Some(u64::MAX);
        assert_eq!(host_config(&config)["MemorySwap"], -1);
    }

    #[test]
    fn a_created_container_in_dockers_shape() {
        let record = sample();
        let standing = Standing { status: Status::Created, state: None, exit: None };
        let view = state(&record, &standing);
        assert_eq!(view["Status"], "created");
        assert_eq!(view["StartedAt"], clock::NEVER);
        let config = container_config(&record);
        assert_eq!(config["Cmd"], json!(["true"]));
        assert_eq!(config["Entrypoint"], Value::Null);
    }
}
