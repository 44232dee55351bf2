//! Which transactional batches a `read_committed` consumer does not see (KIP-98).
//!
//! The broker lists the aborted transactions of what it sends; a batch belongs to one from the
//! transaction's first offset until its producer's abort marker.

use std::collections::BTreeSet;

/// The aborted transactions of one fetch, and those open at the place reached in it.
#[derive(Debug, Default)]
pub(crate) struct Aborted {
    /// First offset and producer, by offset, the next one last.
    ahead: Vec<(i64, i64)>,
    open: BTreeSet<i64>,
}

impl Aborted {
    /// Of pairs of producer id and first offset.
    pub(crate) fn new(transactions: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut ahead: Vec<(i64, i64)> = transactions
            .into_iter()
            .map(|(producer, first)| (first, producer))
            .collect();
        ahead.sort_unstable_by(|a, b| b.cmp(a));
        Self {
            ahead,
            open: BTreeSet::new(),
        }
    }

    /// Whether a transactional batch of `producer` that ends at `last_offset` was aborted. Batches
    /// are asked about in order.
    pub(crate) fn hides(&mut self, producer: i64, last_offset: i64) -> bool {
        while let Some((first, producer)) = self.ahead.last().copied()
            && first <= last_offset
        {
            self.open.insert(producer);
            self.ahead.pop();
        }
        self.open.contains(&producer)
    }

    /// An abort marker of `producer` was read.
    pub(crate) fn ended(&mut self, producer: i64) {
        self.open.remove(&producer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_hidden_from_its_transactions_start_to_its_marker() {
        let mut aborted = Aborted::new([(1, 10), (2, 20)]);
        assert!(!aborted.hides(1, 9));
        assert!(aborted.hides(1, 10));
        assert!(!aborted.hides(2, 15));
        assert!(aborted.hides(2, 25));
        aborted.ended(1);
        assert!(
            !aborted.hides(1, 40),
            "a later transaction of the same producer"
        );
        assert!(aborted.hides(2, 41));
    }
}
