//! What a killed monitor leaves of its container is a cgroup, with or without processes in it.

use bulkhead_cgroup::Cgroup;
use bulkhead_types::ErrorClass;

/// Kills what is left in a cgroup and removes it, in every hierarchy. One that does not exist is fine.
///
/// # Errors
/// In words, if processes survive or the group cannot be removed.
pub fn clear_away(path: &str) -> Result<(), String> {
    let done = Cgroup::open(path).and_then(|group| {
        group.kill()?;
        group.remove()
    });
    match done {
        Err(error) if error.class != ErrorClass::NotFound => Err(error.message),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_group_is_fine_and_a_bad_path_is_not() {
        assert_eq!(clear_away("/bulkhead-test-that-does-not-exist"), Ok(()));
        assert!(clear_away("../x").is_err());
    }
}
