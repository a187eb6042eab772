//! Paths that are covered or made read-only (walls.md measure 9), as data with a reason each.
