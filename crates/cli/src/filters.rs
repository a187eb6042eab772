//! `--filter KEY=VALUE`, several times.

use bulkhead_engine::Filters;

use crate::failure::{Failure, Result};

/// Docker's filters: the key is lower-cased, blanks around both are dropped.
pub fn parse(words: &[String]) -> Result<Filters> {
    let mut filters = Filters::new();
    for word in words {
        if word.trim().is_empty() {
            continue;
        }
        let Some((key, value)) = word.split_once('=') else {
            return Err(Failure::new(format!("invalid filter '{word}': write it as KEY=VALUE")));
        };
        filters.entry(key.trim().to_lowercase()).or_default().push(value.trim().to_owned());
    }
    Ok(filters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_gather_by_key() {
        let filters = parse(&["status=exited".into(), "Label=a=b".into(), "status= dead".into()]).unwrap();
        assert_eq!(filters["status"], ["exited", "dead"]);
        assert_eq!(filters["label"], ["a=b"]);
        assert!(parse(&["status".into()]).is_err());
    }
}
