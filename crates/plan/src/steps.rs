//! The order in which a cell is built: a closed list, pure data.
