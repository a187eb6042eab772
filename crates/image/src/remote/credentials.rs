//! Docker's `config.json`: stored credentials and credential helpers. Read only when a registry asks for credentials.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use bulkhead_types::ErrorClass;
use serde::Deserialize;

use crate::model::Error;

const FILE_LIMIT: u64 = 4 << 20;
const HELPER_OUTPUT_LIMIT: u64 = 256 << 10;
const HELPER_TIME: Duration = Duration::from_secs(60);
/// The key under which Docker stores the default registry's credentials.
const DEFAULT_KEY: &str = "https://index.docker.io/v1/";
/// The user name by which a helper says that the secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// What we can show a registry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// User and password.
    Basic(String, String),
    /// An OAuth2 refresh token for the token server.
    Identity(String),
    /// A bearer token for the registry itself.
    Bearer(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ConfigFile {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

#[derive(Deserialize)]
struct HelperAnswer {
    #[serde(rename = "Username", default)]
    username: String,
    #[serde(rename = "Secret", default)]
    secret: String,
}

/// Where the file is: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
fn path() -> Option<PathBuf> {
    let dir = match std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(std::env::var_os("HOME").filter(|home| !home.is_empty())?).join(".docker"),
    };
    Some(dir.join("config.json"))
}

fn invalid(text: String) -> Error {
    Error::new(ErrorClass::Invalid, text)
}

/// The credentials that the file or its helper has for a registry.
pub(crate) fn lookup(registry: &str) -> Result<Option<Credentials>, Error> {
    let Some(path) = path() else { return Ok(None) };
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(Error::io(format_args!("reading {}", path.display()), &cause)),
    };
    let mut text = Vec::new();
    file.take(FILE_LIMIT)
        .read_to_end(&mut text)
        .map_err(|cause| Error::io(format_args!("reading {}", path.display()), &cause))?;
    let config: ConfigFile = serde_json::from_slice(&text)
        .map_err(|cause| invalid(format!("{} cannot be read: {cause}; correct or remove it", path.display())))?;
    from_config(&config, registry)
}

fn from_config(config: &ConfigFile, registry: &str) -> Result<Option<Credentials>, Error> {
    let names = names(registry);
    let key = names.first().map_or(registry, String::as_str);
    let special = config.cred_helpers.iter().find(|(name, _)| names.contains(&host_of(name)));
    let helper = match special {
        Some((name, helper)) => Some((helper.as_str(), name.as_str())),
        None if !config.creds_store.is_empty() => {
            let key = if is_default(registry) { DEFAULT_KEY } else { key };
            Some((config.creds_store.as_str(), key))
        }
        None => None,
    };
    if let Some((helper, server)) = helper
        && let Some(found) = ask_helper(helper, server)?
    {
        return Ok(Some(found));
    }
    let entry = config.auths.iter().find(|(name, _)| names.contains(&host_of(name)));
    entry.map_or(Ok(None), |(name, entry)| from_entry(name, entry))
}

fn is_default(registry: &str) -> bool {
    registry == "docker.io"
}

/// The names under which a registry's credentials may be kept.
fn names(registry: &str) -> Vec<String> {
    let mut names = vec![registry.to_owned()];
    if is_default(registry) {
        names.extend(["index.docker.io".to_owned(), "registry-1.docker.io".to_owned()]);
    }
    names
}

/// The host of a key: Docker's own are URLs, other tools' are bare hosts.
fn host_of(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    bare.split('/').next().unwrap_or(bare).to_owned()
}

fn from_entry(name: &str, entry: &Entry) -> Result<Option<Credentials>, Error> {
    if !entry.registrytoken.is_empty() {
        return Ok(Some(Credentials::Bearer(entry.registrytoken.clone())));
    }
    if !entry.identitytoken.is_empty() {
        return Ok(Some(Credentials::Identity(entry.identitytoken.clone())));
    }
    if !entry.auth.is_empty() {
        let bad = || invalid(format!("the credentials stored for {name} are damaged: log in again"));
        let bytes = base64::engine::general_purpose::STANDARD.decode(entry.auth.trim()).map_err(|_| bad())?;
        let text = String::from_utf8(bytes).map_err(|_| bad())?;
        let (user, password) = text.trim_end_matches('\0').split_once(':').ok_or_else(bad)?;
        return Ok(Some(Credentials::Basic(user.to_owned(), password.to_owned())));
    }
    if !entry.username.is_empty() {
        return Ok(Some(Credentials::Basic(entry.username.clone(), entry.password.clone())));
    }
    Ok(None)
}

/// Runs `docker-credential-NAME get` with the server's name on its standard input.
fn ask_helper(helper: &str, server: &str) -> Result<Option<Credentials>, Error> {
    if helper.is_empty() || !helper.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err(invalid(format!("the credential helper {helper:?} in config.json is no program name")));
    }
    let program = format!("docker-credential-{helper}");
    let failed = |why: String| {
        invalid(format!("the credential helper {program} {why}; correct credsStore or credHelpers in config.json"))
    };
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|cause| failed(format!("cannot be started ({cause})")))?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input will fail or answer by itself.
        drop(input.write_all(format!("{server}\n").as_bytes()));
    }
    let output = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        output.map_or(Ok(0), |output| output.take(HELPER_OUTPUT_LIMIT).read_to_end(&mut text)).map(|_| text)
    });
    let status = wait(&mut child).map_err(&failed)?;
    let text = match reader.join() {
        Ok(Ok(text)) => text,
        _ => return Err(failed("gave no answer".into())),
    };
    if !status.success() {
        // Every helper says "credentials not found" in its own words: then there are none.
        return Ok(None);
    }
    let answer: HelperAnswer =
        serde_json::from_slice(&text).map_err(|cause| failed(format!("answered nonsense ({cause})")))?;
    Ok(match answer {
        HelperAnswer { secret, .. } if secret.is_empty() => None,
        HelperAnswer { username, secret } if username == TOKEN_USER => Some(Credentials::Identity(secret)),
        HelperAnswer { username, secret } => Some(Credentials::Basic(username, secret)),
    })
}

fn wait(child: &mut std::process::Child) -> Result<std::process::ExitStatus, String> {
    let end = Instant::now() + HELPER_TIME;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                let killed = child.kill().and_then(|()| child.wait());
                let what = if killed.is_ok() { "was ended" } else { "could not be ended" };
                return Err(format!("did not answer within {} s and {what}", HELPER_TIME.as_secs()));
            }
            Err(cause) => return Err(format!("was lost ({cause})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, registry: &str) -> Option<Credentials> {
        from_config(&serde_json::from_str(text).unwrap(), registry).unwrap()
    }

    #[test]
    fn reads_every_form_of_stored_credentials() {
        let text = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpwOnE="},"r.test:5000":{"auth":"dTpw"},
            "https://t.test/v2/":{"identitytoken":"idt"},"b.test":{"registrytoken":"rt"},"n.test":{}},"other":1}"#;
        let basic = |user: &str, password: &str| Some(Credentials::Basic(user.into(), password.into()));
        assert_eq!(find(text, "docker.io"), basic("u", "p:q"));
        assert_eq!(find(text, "r.test:5000"), basic("u", "p"));
        assert_eq!(find(text, "r.test"), None);
        assert_eq!(find(text, "t.test"), Some(Credentials::Identity("idt".into())));
        assert_eq!(find(text, "b.test"), Some(Credentials::Bearer("rt".into())));
        assert_eq!(find(text, "n.test"), None);
    }

    #[test]
    fn a_helper_must_be_a_plain_name() {
        let config: ConfigFile = serde_json::from_str(r#"{"credsStore":"../../bin/sh"}"#).unwrap();
        assert!(from_config(&config, "r.test").unwrap_err().message.contains("no program name"));
        let config: ConfigFile = serde_json::from_str(r#"{"credsStore":"no-such-helper-here"}"#).unwrap();
        assert!(from_config(&config, "r.test").unwrap_err().message.contains("cannot be started"));
    }
}
