//! The three files that the engine writes for a container: `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`.

use std::net::IpAddr;

use crate::model::{Error, Result};
use crate::record::ContainerConfig;

/// Largest host file that is taken over.
const LARGEST: u64 = 64 << 10;

/// `--add-host name:address` (or `name=address`).
///
/// # Errors
/// In Docker's words.
pub(crate) fn check_add_host(text: &str) -> Result<(String, IpAddr)> {
    let bad = || Error::invalid(format!("bad format for add-host: {text:?}"));
    let (name, address) = text.split_once(['=', ':']).ok_or_else(bad)?;
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '#') {
        return Err(bad());
    }
    if address == "host-gateway" {
        return Err(Error::unsupported(
            "--add-host: host-gateway needs a network with a gateway, which comes with networks; with --network host \
             the host is 127.0.0.1",
        ));
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let address = bare.parse().map_err(|_| Error::invalid(format!("invalid IP address in add-host: {address:?}")))?;
    Ok((name.to_owned(), address))
}

/// `--dns`.
///
/// # Errors
/// In Docker's words.
pub(crate) fn check_dns(config: &ContainerConfig) -> Result<()> {
    for address in &config.dns {
        if address.parse::<IpAddr>().is_err() {
            return Err(Error::invalid(format!("{address} is not an ip address")));
        }
    }
    for word in config.dns_search.iter().chain(&config.dns_option) {
        if word.is_empty() || word.contains(char::is_whitespace) {
            return Err(Error::invalid(format!("{word:?} is not a valid dns search domain or option")));
        }
    }
    Ok(())
}

/// `/etc/hosts`.
///
/// # Errors
/// If a recorded `--add-host` cannot be read.
pub(crate) fn hosts(config: &ContainerConfig) -> Result<String> {
    let mut text = match config.network.as_str() {
        "host" => host_file("/etc/hosts"),
        _ => String::from(
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
        ),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for entry in &config.add_host {
        let (name, address) = check_add_host(entry)?;
        text.push_str(&format!("{address}\t{name}\n"));
    }
    if config.network != "host" {
        // The container's own name must resolve: JVMs and mail programs ask for it at once.
        let full = match config.domainname.as_str() {
            "" => String::new(),
            domain => format!("{}.{domain} ", config.hostname),
        };
        text.push_str(&format!("127.0.1.1\t{full}{}\n", config.hostname));
    }
    Ok(text)
}

/// `/etc/resolv.conf`. The host's name servers are told only to those who can reach them.
pub(crate) fn resolv_conf(config: &ContainerConfig) -> String {
    let is_default = config.dns.is_empty() && config.dns_search.is_empty() && config.dns_option.is_empty();
    if config.network == "host" && is_default {
        return host_file("/etc/resolv.conf");
    }
    let mut text = String::from("# Written by bulkhead.\n");
    if config.network == "host" && config.dns.is_empty() {
        for line in host_file("/etc/resolv.conf").lines().filter(|line| line.starts_with("nameserver")) {
            text.push_str(&format!("{line}\n"));
        }
    }
    for address in &config.dns {
        text.push_str(&format!("nameserver {address}\n"));
    }
    // Docker's way of asking for no search list.
    let search: Vec<&str> = config.dns_search.iter().map(String::as_str).filter(|domain| *domain != ".").collect();
    if !search.is_empty() {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    if !config.dns_option.is_empty() {
        text.push_str(&format!("options {}\n", config.dns_option.join(" ")));
    }
    text
}

fn host_file(path: &str) -> String {
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() <= LARGEST => std::fs::read_to_string(path).unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_name_the_container_and_what_was_added() {
        let config = ContainerConfig {
            hostname: "web".into(),
            domainname: "example.org".into(),
            add_host: vec!["db:10.0.0.1".into(), "six=[fd00::1]".into()],
            ..Default::default()
        };
        let text = hosts(&config).unwrap();
        assert!(text.contains("\n10.0.0.1\tdb\n") && text.contains("\nfd00::1\tsix\n"), "{text}");
        assert!(text.contains("\n127.0.1.1\tweb.example.org web\n"), "{text}");
    }

    #[test]
    fn bad_hosts_are_refused() {
        assert_eq!(check_add_host("db").unwrap_err().message, "bad format for add-host: \"db\"");
        assert_eq!(check_add_host("db:x").unwrap_err().message, "invalid IP address in add-host: \"x\"");
        assert!(check_add_host("db:host-gateway").unwrap_err().message.contains("--network host"));
        assert!(check_add_host("fe80::1").is_err());
    }

    #[test]
    fn no_host_server_is_told_without_a_network() {
        assert_eq!(resolv_conf(&ContainerConfig::default()), "# Written by bulkhead.\n");
        let config = ContainerConfig {
            dns: vec!["9.9.9.9".into()],
            dns_search: vec!["a".into(), "b".into()],
            ..Default::default()
        };
        assert_eq!(resolv_conf(&config), "# Written by bulkhead.\nnameserver 9.9.9.9\nsearch a b\n");
    }
}
