//! Which of several workers deals with a record: one for each key, so that what has the same key is dealt with in order.
//!
//! Knows neither the workers nor how long their queues are: a choice by load would break the order.

/// What is done with records that have no key.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keyless {
    /// Those of one partition are dealt with one after the other, as if their partition were their key.
    #[default]
    InOrder,
    /// They go to the workers in turn, and overtake each other.
    AnyWorker,
}

/// Shares records out to so many workers.
#[derive(Clone, Debug)]
pub(crate) struct Dispatch {
    workers: usize,
    keyless: Keyless,
    /// Where the next record goes that may go anywhere.
    turn: usize,
}

impl Dispatch {
    /// Among at least one worker. `first` is where the first record goes that may go anywhere.
    pub(crate) fn new(workers: usize, keyless: Keyless, first: usize) -> Self {
        Self {
            workers: workers.max(1),
            keyless,
            turn: first,
        }
    }

    /// The worker for a record of `partition` of `topic`.
    pub(crate) fn worker(&mut self, topic: &str, partition: i32, key: Option<&[u8]>) -> usize {
        let hash = match (key, self.keyless) {
            // Of any topic: what is about one thing has one key, and retry topics keep it.
            (Some(key), _) => spread(fnv1a(FNV_BASIS, key)),
            (None, Keyless::InOrder) => {
                let hash = fnv1a(FNV_BASIS, topic.as_bytes());
                spread(fnv1a(hash, &partition.to_be_bytes()))
            }
            (None, Keyless::AnyWorker) => {
                self.turn = self.turn.wrapping_add(1);
                return self.turn % self.workers;
            }
        };
        usize::try_from(hash % self.workers as u64).expect("less than a number of workers")
    }
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(hash, step)
}

/// The keys of a partition have some rest of their hash in common already. Mixed up once more (splitmix64), they spread over
/// the workers whatever rule brought them there.
fn spread(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use highwater_record::murmur2::murmur2;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_key_a_partition_is_in_order_or_goes_round() {
        let mut dispatch = Dispatch::new(4, Keyless::InOrder, 0);
        let worker = dispatch.worker("orders", 3, None);
        assert_eq!(dispatch.worker("orders", 3, None), worker);
        let others = (0..100).map(|partition| dispatch.worker("orders", partition, None));
        let used: std::collections::BTreeSet<usize> = others.collect();
        assert_eq!(used.len(), 4);
        let mut dispatch = Dispatch::new(4, Keyless::AnyWorker, 7);
        let turns: Vec<usize> = (0..5).map(|_| dispatch.worker("orders", 3, None)).collect();
        assert_eq!(turns, [0, 1, 2, 3, 0]);
    }

    /// Java puts a key into partition `murmur2 % n`: what a partition has must not all go to one worker.
    #[test]
    fn the_keys_of_one_partition_spread_over_the_workers() {
        let mut dispatch = Dispatch::new(16, Keyless::InOrder, 0);
        let mut load = [0u32; 16];
        let keys = (0..32_000u32).map(|number| format!("customer-{number}"));
        for key in keys.filter(|key| murmur2(key.as_bytes()) & 0x0f == 5) {
            load[dispatch.worker("orders", 5, Some(key.as_bytes()))] += 1;
        }
        let (least, most) = (load.iter().min().unwrap(), load.iter().max().unwrap());
        assert!(*least > 80 && *most < 180, "{load:?}");
    }

    proptest! {
        #[test]
        fn a_key_has_one_worker_whatever_the_topic(
            key: Vec<u8>,
            workers in 1usize..64,
            partitions: [i32; 2],
        ) {
            let mut dispatch = Dispatch::new(workers, Keyless::AnyWorker, 0);
            let one = dispatch.worker("orders", partitions[0], Some(&key));
            prop_assert!(one < workers);
            dispatch.worker("orders", 0, None);
            prop_assert_eq!(dispatch.worker("orders-retry", partitions[1], Some(&key)), one);
        }
    }
}
