//! Kernel settings of the container's own namespaces.

use std::collections::BTreeMap;

use super::{PlanError, Wishes};
use crate::model::Namespaces;

pub(super) fn choose(wishes: &Wishes, namespaces: Namespaces) -> Result<BTreeMap<String, String>, PlanError> {
    let mut chosen = BTreeMap::new();
    if namespaces.network {
        // Every port is the container's own, and nobody else is behind a low one.
        chosen.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        // ping without CAP_NET_RAW. The kernel takes only ids that exist inside.
        let last = wishes.ids.0.iter().map(|extent| extent.container.saturating_add(extent.count) - 1).max();
        chosen.insert("net.ipv4.ping_group_range".to_owned(), format!("0 {}", last.unwrap_or(0)));
    }
    for (name, value) in &wishes.sysctls {
        check(name, value, namespaces)?;
        chosen.insert(name.clone(), value.clone());
    }
    Ok(chosen)
}

/// Settings of the IPC namespace (`ipc/ipc_sysctl.c`).
const IPC: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

fn check(name: &str, value: &str, namespaces: Namespaces) -> Result<(), PlanError> {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if !name.contains('.') || !name.split('.').all(part) {
        return Err(PlanError::invalid(format!(
            "--sysctl {name:?} is no setting: write its path below /proc/sys with dots, for example net.ipv4.ip_forward"
        )));
    }
    if value.len() > 4096 || value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return Err(PlanError::invalid(format!(
            "--sysctl {name}: the value is too long or contains control characters"
        )));
    }
    let (own, flag) = if name.starts_with("net.") {
        (namespaces.network, "--network host")
    } else if name.starts_with("fs.mqueue.") || IPC.contains(&name) {
        (namespaces.ipc, "--ipc host")
    } else if name == "kernel.hostname" || name == "kernel.domainname" {
        (namespaces.uts, "--uts host")
    } else {
        return Err(PlanError::invalid(format!(
            "--sysctl {name} belongs to the whole host and cannot be set for one container; set it on the host with \
             sysctl(8) if it is meant"
        )));
    };
    if own {
        return Ok(());
    }
    Err(PlanError::invalid(format!(
        "--sysctl {name} would change the host's own setting because of {flag}: leave out one"
    )))
}
