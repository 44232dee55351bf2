//! Assignors of consumer groups (KIP-848): who gets which partitions. They know members, topics and numbers, and no group.
