//! Process handles (`pidfd_open(2)`), waiting, start times, signals; sealed copies of our own executable.
