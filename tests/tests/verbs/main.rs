//! The verbs as a user types them, one file each.

mod run;
