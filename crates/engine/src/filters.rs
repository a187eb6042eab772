//! What `--filter` words mean everywhere.

use std::collections::BTreeMap;

use crate::model::{Error, Filters, Result};

/// Refuses keys that the verb does not know.
///
/// # Errors
/// In Docker's words.
pub(crate) fn check(filters: &Filters, known: &[&str]) -> Result<()> {
    match filters.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Error::invalid(format!("invalid filter '{key}'; known here: {}", known.join(", ")))),
        None => Ok(()),
    }
}

/// `key` or `key=value`.
pub(crate) fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|have| have == value),
        None => labels.contains_key(wanted),
    }
}

/// All wanted labels, and none of `label!`.
pub(crate) fn fits_labels(filters: &Filters, labels: &BTreeMap<String, String>) -> bool {
    let values = |key: &str| filters.get(key).into_iter().flatten();
    values("label").all(|wanted| has_label(labels, wanted))
        && !values("label!").any(|unwanted| has_label(labels, unwanted))
}

/// The boolean of a filter such as `dangling=true`.
///
/// # Errors
/// If it is none.
pub(crate) fn flag(filters: &Filters, key: &str) -> Result<Option<bool>> {
    let Some(values) = filters.get(key) else { return Ok(None) };
    let [value] = values.as_slice() else {
        return Err(Error::invalid(format!("invalid filter '{key}={values:?}': one value is expected")));
    };
    crate::mounts::go_bool(value)
        .map(Some)
        .ok_or_else(|| Error::invalid(format!("invalid filter '{key}={value}': write true or false")))
}

/// The moment of `until`.
///
/// # Errors
/// If it is no time, or there are several.
pub(crate) fn until(filters: &Filters) -> Result<Option<jiff::Timestamp>> {
    match filters.get("until").map(Vec::as_slice) {
        None => Ok(None),
        Some([text]) => crate::clock::moment(text).map(Some),
        Some(_) => Err(Error::invalid("more than one until filter specified")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_flags() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let filters = |list: &[(&str, &str)]| -> Filters {
            list.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect()
        };
        assert!(fits_labels(&filters(&[("label", "a")]), &labels));
        assert!(fits_labels(&filters(&[("label", "a=1")]), &labels));
        assert!(!fits_labels(&filters(&[("label", "a=2")]), &labels));
        assert!(!fits_labels(&filters(&[("label!", "a")]), &labels));
        assert_eq!(flag(&filters(&[("dangling", "1")]), "dangling").unwrap(), Some(true));
        assert!(flag(&filters(&[("dangling", "x")]), "dangling").is_err());
        assert!(check(&filters(&[("foo", "x")]), &["name"]).is_err());
        assert!(until(&filters(&[("until", "10m")])).unwrap().is_some());
    }
}
