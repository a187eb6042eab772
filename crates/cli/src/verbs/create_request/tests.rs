use bulkhead_engine::{CreateRequest, PullPolicy, RestartPolicy};

use crate::failure::Failure;
use crate::records::entry;
use crate::verbs::create::Create;

/// Parses a line as `create` would get it.
fn request(line: &[&str]) -> Result<CreateRequest, Failure> {
    let entry = entry::<Create>();
    let words = line.iter().map(|word| (*word).to_owned()).collect();
    let create = entry.parse::<Create>("create", words)?;
    create.into_flags().request(false)
}

fn good(line: &[&str]) -> CreateRequest {
    request(line).unwrap_or_else(|failure| panic!("{line:?}: {}", failure.message))
}

#[test]
fn words_and_streams() {
    let r = good(&["-it", "--name=web", "debian:12", "sh", "-c", "echo --rm"]);
    assert_eq!((r.image.as_str(), r.name.as_deref()), ("debian:12", Some("web")));
    assert_eq!(r.command, ["sh", "-c", "echo --rm"]);
    assert!(r.tty && r.stdin_open && r.stdin_once && r.attach.stdin && r.attach.stdout && !r.remove);
    let r = good(&["-a", "stdout", "-a", "STDERR", "x"]);
    assert!(!r.attach.stdin && r.attach.stdout && r.attach.stderr && !r.stdin_open);
    assert!(!good(&["-i=false", "x"]).stdin_open);
    assert!(request(&["-a", "nowhere", "x"]).is_err());
    assert!(request(&[""]).is_err());
}

#[test]
fn process() {
    let r = good(&[
        "-e",
        "A=1",
        "--env=B=2",
        "-u",
        "1000:0",
        "-w",
        "/x",
        "--entrypoint",
        "",
        "--group-add",
        "audio",
        "-h",
        "box",
        "--init",
        "x",
    ]);
    assert_eq!(r.env, ["A=1", "B=2"]);
    assert_eq!((r.user.as_deref(), r.workdir.as_deref()), (Some("1000:0"), Some("/x")));
    assert_eq!((r.entrypoint.as_deref(), r.hostname.as_deref()), (Some(""), Some("box")));
    assert_eq!(r.group_add, ["audio"]);
    assert!(r.init);
}

#[test]
fn limits() {
    let r = good(&[
        "-m",
        "512m",
        "--memory-swap",
        "-1",
        "--cpus",
        "1.5",
        "--pids-limit=-1",
        "-c",
        "512",
        "--cpuset-cpus",
        "0-1",
        "--shm-size",
        "1g",
        "--ulimit",
        "nofile=1:2",
        "--oom-score-adj",
        "-5",
        "--device-read-bps",
        "/dev/vda:1mb",
        "x",
    ]);
    assert_eq!((r.memory, r.memory_swap, r.nano_cpus), (Some(512 << 20), Some(-1), Some(1_500_000_000)));
    assert_eq!((r.pids_limit, r.cpu_shares, r.shm_size), (Some(-1), Some(512), Some(1 << 30)));
    assert_eq!((r.cpuset_cpus.as_deref(), r.oom_score_adj), (Some("0-1"), Some(-5)));
    assert_eq!(
        (r.ulimits.as_slice(), r.device_read_bps.as_slice()),
        (&["nofile=1:2".to_owned()][..], &["/dev/vda:1mb".to_owned()][..])
    );
    assert_eq!(good(&["--memory", "0", "x"]).memory, Some(0));
    for bad in [["-m", "lots"], ["--cpus", "-1"], ["--pids-limit", "x"], ["--blkio-weight", "70000"]] {
        assert_eq!(request(&[bad[0], bad[1], "x"]).unwrap_err().code, 125, "{bad:?}");
    }
}

#[test]
fn walls() {
    let r = good(&[
        "--cap-add",
        "NET_ADMIN",
        "--cap-drop=ALL",
        "--security-opt",
        "no-new-privileges",
        "--sysctl",
        "net.a=1",
        "--isolation",
        "hardened",
        "--pid",
        "host",
        "--privileged",
        "--device=/dev/fuse",
        "x",
    ]);
    assert_eq!((r.cap_add.as_slice(), r.cap_drop.as_slice()), (&["NET_ADMIN".to_owned()][..], &["ALL".to_owned()][..]));
    assert_eq!(r.sysctls["net.a"], "1");
    assert_eq!((r.isolation.as_deref(), r.pid_mode.as_str()), (Some("hardened"), "host"));
    assert!(r.privileged && r.devices == ["/dev/fuse"]);
    assert!(request(&["--sysctl", "x", "y"]).is_err());
}

#[test]
fn life() {
    let r = good(&[
        "--rm",
        "-l",
        "a=b",
        "--label",
        "c",
        "--pull=always",
        "--stop-timeout",
        "3",
        "--log-opt",
        "max-size=1m",
        "--health-cmd",
        "true",
        "--health-interval",
        "1m30s",
        "--network",
        "none",
        "x",
    ]);
    assert!(r.remove && r.labels["a"] == "b" && r.labels["c"].is_empty());
    assert_eq!((r.pull, r.stop_timeout, r.network.as_str()), (PullPolicy::Always, Some(3), "none"));
    assert_eq!(r.log_opts["max-size"], "1m");
    assert_eq!(r.health.interval, Some(std::time::Duration::from_secs(90)));
    assert_eq!(good(&["--restart", "on-failure:3", "x"]).restart, RestartPolicy::OnFailure { max: 3 });
    assert_eq!(good(&["--restart=unless-stopped", "x"]).restart, RestartPolicy::UnlessStopped);
    for bad in [
        ["--rm", "--restart=always"],
        ["--no-healthcheck", "--health-cmd=x"],
        ["--restart=always:3", "--init"],
        ["--pull=sometimes", "--init"],
        ["--restart=maybe", "--init"],
    ] {
        assert_eq!(request(&[bad[0], bad[1], "x"]).unwrap_err().code, 125, "{bad:?}");
    }
}

#[test]
fn what_cannot_be_honoured_says_so() {
    for flag in [
        "--gpus=all",
        "--link=a",
        "-P",
        "--ip=1.2.3.4",
        "--runtime=runc",
        "--oom-kill-disable",
        "--kernel-memory=1g",
        "--expose=80",
        "--storage-opt=size=1g",
        "--memory-swappiness=10",
        "--disable-content-trust=false",
        "--volume-driver=nfs",
    ] {
        let failure = request(&[flag, "x"]).unwrap_err();
        assert!(failure.message.contains("cannot be honoured") && failure.code == 125, "{flag}: {}", failure.message);
    }
    for fine in
        ["--oom-kill-disable=false", "--memory-swappiness=-1", "--disable-content-trust", "--volume-driver=local"]
    {
        assert!(request(&[fine, "x"]).is_ok(), "{fine}");
    }
    let failure = request(&["--frobnicate", "x"]).unwrap_err();
    assert!(failure.message.starts_with("unknown flag: --frobnicate") && failure.code == 125);
}
