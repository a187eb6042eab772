//! clone3, prctl, setfsuid, capset, execveat.
