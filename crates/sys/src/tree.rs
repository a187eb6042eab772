//! Walking, copying and removing directory trees by descriptor, without following links.
