//! The sticky choice for records without a key (KIP-794, Java's `BuiltInPartitioner`): stay with a
//! partition for a batch's worth of bytes, then pick another, shorter queues more likely.
//!
//! Knows queue lengths only as numbers somebody measured.

/// How much went to a partition during the current stay; kept in its queue, under its lock.
#[derive(Debug, Default)]
pub(crate) struct Stay {
    bytes: usize,
}

impl Stay {
    /// Counts `bytes`; returns whether it is time to leave. `at_edge` says that the queue holds no
    /// half-full batch, which is when leaving cuts none short; at twice the batch it is time
    /// anyway.
    pub(crate) fn appended(&mut self, bytes: usize, batch_bytes: usize, at_edge: bool) -> bool {
        self.bytes += bytes;
        let batch_bytes = batch_bytes.max(1);
        let leave =
            (self.bytes >= batch_bytes && at_edge) || self.bytes >= batch_bytes.saturating_mul(2);
        if leave {
            self.bytes = 0;
        }
        leave
    }
}

/// Picks any of `queues` but the one that was left, unless it is the only one (KIP-480).
pub(crate) fn pick_other(queues: &[(i32, u32)], left: i32, random: u64) -> Option<i32> {
    let others = || queues.iter().filter(|(partition, _)| *partition != left);
    let count = u64::try_from(others().count()).unwrap_or(u64::MAX);
    match count {
        0 => queues.first().map(|(partition, _)| *partition),
        _ => nth(others(), random % count),
    }
}

/// Picks one of those `queues` with the fewest batches waiting.
pub(crate) fn pick_shortest(queues: &[(i32, u32)], random: u64) -> Option<i32> {
    let fewest = queues.iter().map(|(_, waiting)| *waiting).min()?;
    let shortest = || queues.iter().filter(|(_, waiting)| *waiting == fewest);
    let count = u64::try_from(shortest().count()).unwrap_or(u64::MAX);
    nth(shortest(), random % count.max(1))
}

fn nth<'q>(mut queues: impl Iterator<Item = &'q (i32, u32)>, at: u64) -> Option<i32> {
    let at = usize::try_from(at).ok()?;
    queues.nth(at).map(|(partition, _)| *partition)
}

/// Picks the next partition of `queues`, where each has a leader and so many batches waiting: with
/// weight `longest + 1 - waiting`.
pub(crate) fn pick(queues: &[(i32, u32)], random: u64) -> Option<i32> {
    let longest = queues.iter().map(|(_, waiting)| *waiting).max()?;
    let weight = |waiting: u32| u64::from(longest - waiting) + 1;
    let total: u64 = queues.iter().map(|(_, waiting)| weight(*waiting)).sum();
    let mut at = random % total;
    for (partition, waiting) in queues {
        let weight = weight(*waiting);
        if at < weight {
            return Some(*partition);
        }
        at -= weight;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::backoff::Random;

    #[test]
    fn a_partition_is_kept_for_a_batch_and_left_at_its_edge() {
        let mut stay = Stay::default();
        assert!(!stay.appended(99, 100, true));
        assert!(!stay.appended(1, 100, false), "the batch is half full");
        assert!(stay.appended(1, 100, true));
        assert!(
            !stay.appended(99, 100, true),
            "a new stay begins at nothing"
        );
    }

    #[test]
    fn twice_a_batch_ends_the_stay_in_the_middle_of_one() {
        let mut stay = Stay::default();
        assert!(!stay.appended(199, 100, false));
        assert!(stay.appended(1, 100, false));
    }

    #[test]
    fn shorter_queues_are_picked_more_often() {
        let mut random = Random::new(42);
        let mut picks = [0u32; 3];
        for _ in 0..3000 {
            let picked = pick(&[(0, 0), (1, 3), (2, 1)], random.next()).unwrap();
            picks[usize::try_from(picked).unwrap()] += 1;
        }
        // Weights 4, 1, 3 of 8.
        assert!(picks[0] > 1350 && picks[0] < 1650, "{picks:?}");
        assert!(picks[1] > 250 && picks[1] < 500, "{picks:?}");
        assert!(picks[2] > 1000 && picks[2] < 1250, "{picks:?}");
    }

    #[test]
    fn the_partition_that_was_left_is_not_picked_again_while_there_is_another() {
        let queues = [(0, 0), (1, 0), (2, 0)];
        let picked: std::collections::BTreeSet<_> = (0..6)
            .map(|random| pick_other(&queues, 1, random))
            .collect();
        assert_eq!(picked, [Some(0), Some(2)].into());
        assert_eq!(pick_other(&[(1, 0)], 1, 5), Some(1));
        assert_eq!(pick_other(&[], 1, 5), None);
    }

    #[test]
    fn only_the_shortest_queues_are_picked() {
        let queues = [(0, 3), (1, 1), (2, 1)];
        let picked: std::collections::BTreeSet<_> = (0..6)
            .map(|random| pick_shortest(&queues, random))
            .collect();
        assert_eq!(picked, [Some(1), Some(2)].into());
        assert_eq!(pick_shortest(&[], 5), None);
    }

    #[test]
    fn nothing_is_picked_where_no_partition_has_a_leader() {
        assert_eq!(pick(&[], 1), None);
    }
}
