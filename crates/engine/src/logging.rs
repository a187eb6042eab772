//! `--log-driver` and `--log-opt`.

use std::collections::BTreeMap;

use bulkhead_plan::handover::{LogDriver, LogPolicy};
use bulkhead_types::ByteSize;

use crate::model::{Error, Result};

/// 10 MiB times three files, unless told otherwise: no container fills the disk with its log (S04).
const DEFAULT: LogPolicy = LogPolicy { driver: LogDriver::JsonFile, max_size: 10 << 20, max_files: 3 };

/// How the logs are kept.
///
/// # Errors
/// In Docker's words.
pub(crate) fn policy(driver: Option<&str>, options: &BTreeMap<String, String>) -> Result<LogPolicy> {
    let mut policy = DEFAULT;
    policy.driver = match driver.unwrap_or_default() {
        "" | "json-file" | "default" => LogDriver::JsonFile,
        "none" => LogDriver::None,
        other => {
            return Err(Error::unsupported(format!(
                "logger: no log driver named '{other}' is registered; use json-file or none"
            )));
        }
    };
    let name = if policy.driver == LogDriver::None { "none" } else { "json-file" };
    for (key, value) in options {
        match (policy.driver, key.as_str()) {
            (LogDriver::JsonFile, "max-size") => policy.max_size = max_size(value)?,
            (LogDriver::JsonFile, "max-file") => {
                policy.max_files = value.parse().ok().filter(|count| (1..=1000).contains(count)).ok_or_else(|| {
                    Error::invalid(format!("invalid value for max-file: {value}: write a number from 1 to 1000"))
                })?;
            }
            (LogDriver::JsonFile, "mode") if value == "blocking" => {}
            _ => return Err(Error::invalid(format!("unknown log opt '{key}' for {name} log driver"))),
        }
    }
    Ok(policy)
}

fn max_size(value: &str) -> Result<u64> {
    if value == "-1" {
        return Ok(0);
    }
    value
        .parse::<ByteSize>()
        .map(|size| size.0)
        .map_err(|error| Error::invalid(format!("invalid value for max-size: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let options = |list: &[(&str, &str)]| list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(policy(None, &BTreeMap::new()).unwrap(), DEFAULT);
        let set = policy(None, &options(&[("max-size", "1k"), ("max-file", "2")])).unwrap();
        assert_eq!((set.max_size, set.max_files), (1024, 2));
        assert_eq!(policy(None, &options(&[("max-size", "-1")])).unwrap().max_size, 0);
        let error = policy(None, &options(&[("foo", "1")])).unwrap_err();
        assert_eq!(error.message, "unknown log opt 'foo' for json-file log driver");
        assert!(policy(Some("syslog"), &BTreeMap::new()).unwrap_err().message.contains("no log driver named 'syslog'"));
        assert!(policy(Some("none"), &options(&[("max-size", "1k")])).is_err());
    }
}
