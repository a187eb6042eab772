//! Ranges of host ids and the maps from container ids onto them (`user_namespaces(7)`).

use serde::{Deserialize, Serialize};

/// How many ids a container has when the host has enough of them.
pub const CONTAINER_IDS: u32 = 65_536;

/// A contiguous block of host user and group ids that exactly one holder owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IdRange {
    /// First host id.
    pub base: u32,
    /// Number of ids.
    pub count: u32,
}

impl IdRange {
    /// True if the two blocks share an id.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let end = |range: &Self| u64::from(range.base) + u64::from(range.count);
        u64::from(self.base) < end(other) && u64::from(other.base) < end(self)
    }

    /// The map of a container that owns this block: ids from 0 up; where the block is smaller than 65,536 its last
    /// id stands for 65534 (`nobody`), which images use.
    #[must_use]
    pub fn container_map(&self) -> IdMap {
        const NOBODY: u32 = 65_534;
        if self.count >= CONTAINER_IDS || self.count < 2 {
            return IdMap(vec![IdExtent { container: 0, host: self.base, count: self.count }]);
        }
        IdMap(vec![
            IdExtent { container: 0, host: self.base, count: self.count - 1 },
            IdExtent { container: NOBODY, host: self.base + self.count - 1, count: 1 },
        ])
    }
}

/// One line of `/proc/PID/uid_map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdExtent {
    /// First id inside.
    pub container: u32,
    /// First id outside (in the parent user namespace).
    pub host: u32,
    /// Number of ids.
    pub count: u32,
}

/// Why an id has no counterpart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("id {0} is outside the container's id range")]
pub struct IdMapError(pub u32);

/// The map of a user namespace, used for users and groups alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdMap(pub Vec<IdExtent>);

impl IdMap {
    /// The host id of a container id.
    ///
    /// # Errors
    /// If the map does not cover it.
    pub fn to_host(&self, id: u32) -> Result<u32, IdMapError> {
        self.0
            .iter()
            .find(|extent| id >= extent.container && id - extent.container < extent.count)
            .and_then(|extent| extent.host.checked_add(id - extent.container))
            .ok_or(IdMapError(id))
    }

    /// The container id of a host id.
    ///
    /// # Errors
    /// If the map does not cover it.
    pub fn to_container(&self, id: u32) -> Result<u32, IdMapError> {
        self.0
            .iter()
            .find(|extent| id >= extent.host && id - extent.host < extent.count)
            .and_then(|extent| extent.container.checked_add(id - extent.host))
            .ok_or(IdMapError(id))
    }

    /// The text that is written to `/proc/PID/uid_map` and `gid_map`.
    #[must_use]
    pub fn to_proc(&self) -> String {
        self.0.iter().map(|e| format!("{} {} {}\n", e.container, e.host, e.count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_ranges_keep_nobody() {
        let map = IdRange { base: 100_000, count: 2048 }.container_map();
        assert_eq!(map.to_host(0), Ok(100_000));
        assert_eq!(map.to_host(2046), Ok(102_046));
        assert_eq!(map.to_host(2047), Err(IdMapError(2047)));
        assert_eq!(map.to_host(65_534), Ok(102_047));
        assert_eq!(map.to_container(102_047), Ok(65_534));
    }

    #[test]
    fn overlap_is_symmetric_and_does_not_wrap() {
        let a = IdRange { base: u32::MAX - 10, count: 10 };
        let b = IdRange { base: 0, count: 65_536 };
        assert!(!a.overlaps(&b) && !b.overlaps(&a));
        assert!(b.overlaps(&IdRange { base: 65_535, count: 1 }));
    }
}
