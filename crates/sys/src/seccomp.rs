//! A small compiler from rules to classic BPF, and loading it. An empty filter is an error.
