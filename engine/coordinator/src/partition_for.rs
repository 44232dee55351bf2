//! Which partition of `__consumer_offsets` a group lives in: Java's hash of the group id, as every Kafka reckons it.

/// The partition of `group` among `partitions`, which is above 0 (`GroupCoordinatorService.partitionFor`).
#[must_use]
pub fn partition_for(group: &str, partitions: i32) -> i32 {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    // `Utils.abs`: the one number without a positive counterpart counts as 0.
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::partition_for;

    #[test]
    fn a_group_lives_where_java_says() {
        assert_eq!(partition_for("my-group", 50), 12);
        assert_eq!(partition_for("", 50), 0);
        // Hashes to i32::MIN.
        assert_eq!(partition_for("polygenelubricants", 50), 0);
        // A surrogate pair counts as two units: 0xd83d * 31 + 0xde00 = 1_772_899.
        assert_eq!(partition_for("\u{1f600}", 50), 1_772_899 % 50);
    }
}
