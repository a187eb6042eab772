//! `--mount type=…,source=…,target=…,…`: one CSV record of `key=value` fields.

use bulkhead_types::ByteSize;

use crate::model::{Error, Result};

use super::{MountSpec, Source, VolumeSource, check_volume_name, clean_target, go_bool, host_path};

/// Fields as read, before they are checked against the type.
#[derive(Default)]
struct Fields {
    kind: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    recursive: Option<bool>,
    no_copy: bool,
    subpath: Option<String>,
    labels: std::collections::BTreeMap<String, String>,
    options: std::collections::BTreeMap<String, String>,
    tmpfs_size: Option<u64>,
    tmpfs_mode: Option<u32>,
    /// Which family of options was used: `bind`, `volume`, `tmpfs`.
    families: Vec<&'static str>,
}

/// One `--mount`.
///
/// # Errors
/// In Docker's words.
pub(crate) fn parse_long(raw: &str) -> Result<MountSpec> {
    let mut fields = Fields::default();
    for field in csv(raw)? {
        read_field(&mut fields, &field, raw)?;
    }
    let kind = fields.kind.clone().unwrap_or_else(|| "volume".into());
    let target = fields.target.clone().ok_or_else(|| Error::invalid("target is required"))?;
    if !matches!(kind.as_str(), "bind" | "volume" | "tmpfs") {
        return Err(match kind.as_str() {
            "npipe" | "cluster" | "image" => {
                Error::unsupported(format!("mount type {kind:?} is not supported; use bind, volume or tmpfs"))
            }
            _ => Error::invalid(format!("invalid mount config for type {kind:?}: mount type unknown: {kind:?}")),
        });
    }
    if let Some(family) = fields.families.iter().find(|family| **family != kind) {
        return Err(Error::invalid(format!("cannot mix '{family}-*' options with mount type '{kind}'")));
    }
    let target = clean_target(&kind, &target)?;
    let read_only = fields.read_only;
    let source = match kind.as_str() {
        "bind" => bind(fields)?,
        "tmpfs" => tmpfs(fields)?,
        _ => volume(fields)?,
    };
    Ok(MountSpec { target, source, read_only })
}

fn bind(fields: Fields) -> Result<Source> {
    let source = fields
        .source
        .filter(|source| !source.is_empty())
        .ok_or_else(|| Error::invalid("invalid mount config for type \"bind\": field Source must not be empty"))?;
    Ok(Source::Bind { path: host_path(&source)?, create: false, recursive: fields.recursive.unwrap_or(true) })
}

fn tmpfs(fields: Fields) -> Result<Source> {
    if fields.source.is_some() {
        return Err(Error::invalid("invalid mount config for type \"tmpfs\": field Source must not be specified"));
    }
    let mode = fields.tmpfs_mode.unwrap_or(0o1777);
    Ok(Source::Tmpfs { size: fields.tmpfs_size, inodes: 0, mode, exec: false })
}

fn volume(fields: Fields) -> Result<Source> {
    let name = fields.source.filter(|source| !source.is_empty());
    if let Some(name) = &name {
        check_volume_name(name)?;
    }
    Ok(Source::Volume(VolumeSource {
        anonymous: name.is_none(),
        name,
        no_copy: fields.no_copy,
        subpath: fields.subpath,
        labels: fields.labels,
        options: fields.options,
    }))
}

fn read_field(fields: &mut Fields, field: &str, raw: &str) -> Result<()> {
    let (key, value) = match field.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (field, None),
    };
    let key = key.to_ascii_lowercase();
    let flag = |name: &str| match value {
        None => Ok(true),
        Some(value) => go_bool(value).ok_or_else(|| Error::invalid(format!("invalid value for {name}: {value}"))),
    };
    match key.as_str() {
        "readonly" | "ro" => return flag(&key).map(|on| fields.read_only = on),
        "volume-nocopy" => {
            fields.families.push("volume");
            return flag(&key).map(|on| fields.no_copy = on);
        }
        "bind-nonrecursive" => {
            fields.families.push("bind");
            return flag(&key).map(|on| fields.recursive = Some(!on));
        }
        _ => {}
    }
    let Some(value) = value else {
        return Err(Error::invalid(format!("invalid field '{field}' must be a key=value pair")));
    };
    read_value(fields, &key, value)?
        .then_some(())
        .ok_or_else(|| Error::invalid(format!("unexpected key '{key}' in '{raw}'")))
}

/// False for an unknown key.
fn read_value(fields: &mut Fields, key: &str, value: &str) -> Result<bool> {
    let invalid = || Error::invalid(format!("invalid value for {key}: {value}"));
    match key {
        "type" => fields.kind = Some(value.to_ascii_lowercase()),
        "source" | "src" => fields.source = Some(value.to_owned()),
        "target" | "dst" | "destination" => fields.target = Some(value.to_owned()),
        "consistency" => {}
        "bind-recursive" => {
            fields.families.push("bind");
            fields.recursive = Some(match value {
                "enabled" => true,
                "disabled" => false,
                "writable" | "readonly" => {
                    return Err(Error::unsupported(format!(
                        "bind-recursive={value} is not supported; use enabled (read-only applies to mounts below, too) or disabled"
                    )));
                }
                _ => return Err(invalid()),
            });
        }
        "bind-propagation" => {
            fields.families.push("bind");
            if !matches!(value, "private" | "rprivate") {
                return Err(Error::unsupported(format!(
                    "bind-propagation={value} would tie the container's mounts to the host's and is not supported; leave it out"
                )));
            }
        }
        "volume-subpath" => {
            fields.families.push("volume");
            fields.subpath = Some(value.to_owned());
        }
        "volume-label" | "volume-opt" => {
            fields.families.push("volume");
            let (name, value) = value.split_once('=').unwrap_or((value, ""));
            let map = if key == "volume-label" { &mut fields.labels } else { &mut fields.options };
            map.insert(name.to_owned(), value.to_owned());
        }
        "volume-driver" => {
            fields.families.push("volume");
            if value != "local" {
                return Err(Error::unsupported(format!("volume driver {value:?} is not supported; use local")));
            }
        }
        "tmpfs-size" => {
            fields.families.push("tmpfs");
            fields.tmpfs_size = Some(value.parse::<ByteSize>().map_err(|_| invalid())?.0);
        }
        "tmpfs-mode" => {
            fields.families.push("tmpfs");
            let mode = u32::from_str_radix(value, 8).map_err(|_| invalid())?;
            fields.tmpfs_mode = Some(Some(mode).filter(|mode| *mode <= 0o7777).ok_or_else(invalid)?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Splits one CSV record; a field in double quotes may hold commas, and `""` in it is a quote.
fn csv(raw: &str) -> Result<Vec<String>> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut characters = raw.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            character => field.push(character),
        }
    }
    if quoted {
        return Err(Error::invalid(format!("invalid argument {raw:?} for \"--mount\" flag: a quote is not closed")));
    }
    fields.push(field);
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let spec = parse_long("type=bind,source=/srv,target=/data,readonly").unwrap();
        assert_eq!(spec.source, Source::Bind { path: "/srv".into(), create: false, recursive: true });
        assert!(spec.read_only);
        let spec = parse_long("src=pg,dst=/data,volume-nocopy=true,volume-label=a=b").unwrap();
        let Source::Volume(volume) = &spec.source else { panic!("{spec:?}") };
        assert!(volume.no_copy && volume.labels["a"] == "b" && !volume.anonymous);
        let spec = parse_long("type=tmpfs,destination=/run,tmpfs-size=64m,tmpfs-mode=700").unwrap();
        assert_eq!(spec.source, Source::Tmpfs { size: Some(64 << 20), inodes: 0, mode: 0o700, exec: false });
        let spec = parse_long("type=bind,\"source=/a,b\",target=/c").unwrap();
        assert!(matches!(spec.source, Source::Bind { path, .. } if path == "/a,b"));
        assert!(parse_long("type=volume,target=/x").unwrap().volume().is_none());
    }

    #[test]
    fn refusals_in_dockers_words() {
        for (raw, text) in [
            ("type=bind,source=/a", "target is required"),
            ("target=/x,foo", "invalid field 'foo' must be a key=value pair"),
            ("target=/x,foo=1", "unexpected key 'foo' in 'target=/x,foo=1'"),
            ("target=/x,ro=maybe", "invalid value for ro: maybe"),
            ("type=tmpfs,target=/x,tmpfs-size=many", "invalid value for tmpfs-size: many"),
            ("type=tmpfs,target=/x,volume-nocopy", "cannot mix 'volume-*' options with mount type 'tmpfs'"),
            ("type=bind,target=/x", "invalid mount config for type \"bind\": field Source must not be empty"),
            (
                "type=tmpfs,src=/a,target=/x",
                "invalid mount config for type \"tmpfs\": field Source must not be specified",
            ),
            ("type=foo,target=/x", "invalid mount config for type \"foo\": mount type unknown: \"foo\""),
        ] {
            assert_eq!(parse_long(raw).unwrap_err().message, text);
        }
        assert!(parse_long("type=bind,\"source=/a,target=/x").is_err());
        assert!(parse_long("type=bind,source=/a,target=/x,bind-propagation=rshared").is_err());
    }
}
