//! Mount calls that rustix lacks: mount_setattr, open_tree_attr, statmount.
