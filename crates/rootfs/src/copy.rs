//! Copying a tree with its owners translated.
