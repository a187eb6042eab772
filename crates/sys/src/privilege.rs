//! Capabilities, ids, no-new-privs, dumpable, rlimits, parent-death signal.
