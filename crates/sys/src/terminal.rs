//! Pseudo terminals (`TIOCGPTPEER`), raw mode, window sizes.
