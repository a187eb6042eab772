//! Socket calls that rustix lacks.
