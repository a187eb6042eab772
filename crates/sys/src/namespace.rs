//! Joining and leaving namespaces.
