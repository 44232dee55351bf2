use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Instant {
    Instant::from_start(Duration::from_secs(seconds))
}

fn claim(producer_id: i64, epoch: i16, first: i32, records: i32) -> Claim {
    Claim {
        producer_id,
        epoch,
        first_sequence: first,
        last_sequence: sequence_after(first, records - 1),
    }
}

/// Producers that took these batches (producer, epoch, first sequence, records), back to back from offset 0.
fn after(batches: &[(i64, i16, i32, i32)]) -> Producers {
    let mut producers = Producers::new(1000, Census::default());
    let mut end = 0;
    for &(producer_id, epoch, first, records) in batches {
        place(
            &mut producers,
            &claim(producer_id, epoch, first, records),
            &mut end,
            records,
        );
    }
    producers
}

fn place(producers: &mut Producers, claim: &Claim, end: &mut i64, records: i32) {
    *end += i64::from(records);
    let kept = Kept {
        last_sequence: claim.last_sequence,
        last_offset: Offset::new(*end - 1),
        offset_delta: records - 1,
        timestamp_ms: *end,
    };
    producers.placed(claim, kept, at(0));
}

fn judge(
    batches: &[(i64, i16, i32, i32)],
    next: (i64, i16, i32, i32),
) -> Result<Judgement, Disorder> {
    let (producer_id, epoch, first, records) = next;
    after(batches).judge(
        &claim(producer_id, epoch, first, records),
        Strictness::Sequence,
    )
}

fn repeated(first_offset: i64, last_offset: i64) -> impl Fn(Result<Judgement, Disorder>) -> bool {
    move |result| {
        matches!(result, Ok(Judgement::Repeated(kept))
            if kept.first_offset() == Offset::new(first_offset) && kept.last_offset == Offset::new(last_offset))
    }
}

fn expects(sequence: i32) -> impl Fn(Result<Judgement, Disorder>) -> bool {
    move |result| matches!(result, Err(Disorder::Sequence { expected, .. }) if expected == sequence)
}

#[test]
fn every_claim_gets_kafkas_answer() {
    let next = |result| result == Ok(Judgement::Next);
    let fenced = |result| matches!(result, Err(Disorder::Epoch { .. }));
    const MAX: i32 = i32::MAX;

    // An unknown producer may begin anywhere.
    assert!(next(judge(&[], (1, 0, 0, 1))));
    assert!(next(judge(&[], (1, 7, 42, 5))));
    assert!(next(judge(&[(2, 0, 0, 3)], (1, 0, 9, 1))));
    // The next batch follows the last one.
    assert!(next(judge(&[(1, 0, 0, 10)], (1, 0, 10, 1))));
    assert!(next(judge(&[(1, 0, 5, 1)], (1, 0, 6, 4))));
    // A gap is refused, and so is a batch from before the kept ones.
    assert!(expects(10)(judge(&[(1, 0, 0, 10)], (1, 0, 11, 1))));
    assert!(expects(10)(judge(&[(1, 0, 0, 10)], (1, 0, 3, 1))));
    assert!(expects(6)(judge(
        &[
            (1, 0, 0, 1),
            (1, 0, 1, 1),
            (1, 0, 2, 1),
            (1, 0, 3, 1),
            (1, 0, 4, 1),
            (1, 0, 5, 1)
        ],
        (1, 0, 0, 1)
    )));
    // The same batch again, any of the last five.
    assert!(repeated(0, 9)(judge(&[(1, 0, 0, 10)], (1, 0, 0, 10))));
    assert!(repeated(0, 0)(judge(
        &[
            (1, 0, 0, 1),
            (1, 0, 1, 1),
            (1, 0, 2, 1),
            (1, 0, 3, 1),
            (1, 0, 4, 1)
        ],
        (1, 0, 0, 1)
    )));
    assert!(repeated(13, 14)(judge(
        &[(1, 0, 0, 10), (2, 0, 0, 3), (1, 0, 10, 2)],
        (1, 0, 10, 2)
    )));
    // The same first sequence with another length is no repetition.
    assert!(expects(10)(judge(&[(1, 0, 0, 10)], (1, 0, 0, 9))));
    assert!(expects(10)(judge(&[(1, 0, 0, 10)], (1, 0, 0, 11))));
    // A new epoch starts at 0 and forgets the old one's batches; an old epoch is fenced.
    assert!(next(judge(&[(1, 0, 0, 10)], (1, 1, 0, 1))));
    assert!(expects(0)(judge(&[(1, 0, 0, 10)], (1, 1, 10, 1))));
    assert!(fenced(judge(&[(1, 3, 0, 10)], (1, 2, 10, 1))));
    assert!(fenced(judge(&[(1, 3, 0, 10), (1, 4, 0, 1)], (1, 3, 0, 10))));
    assert!(next(judge(&[(1, 0, 0, 10), (1, 5, 0, 1)], (1, 5, 1, 1))));
    // 2^31 - 1 is followed by 0, between batches and within one.
    assert!(next(judge(&[(1, 0, MAX - 1, 2)], (1, 0, 0, 3))));
    assert!(expects(0)(judge(&[(1, 0, MAX - 1, 2)], (1, 0, 1, 3))));
    assert!(next(judge(&[(1, 0, MAX, 3)], (1, 0, 2, 1))));
    assert!(repeated(0, 2)(judge(&[(1, 0, MAX, 3)], (1, 0, MAX, 3))));
}

#[test]
fn a_coordinator_is_held_to_its_epoch_alone() {
    let producers = after(&[(1, 3, 0, 10)]);
    let coordinator = |epoch, first| producers.judge(&claim(1, epoch, first, 1), Strictness::Epoch);
    assert_eq!(coordinator(3, 77), Ok(Judgement::Next));
    assert_eq!(coordinator(4, 77), Ok(Judgement::Next));
    assert!(matches!(
        coordinator(2, 10),
        Err(Disorder::Epoch {
            found: 2,
            current: 3,
            ..
        })
    ));
}

#[test]
fn a_marker_that_raises_the_epoch_lets_the_producer_begin_at_0() {
    let mut producers = after(&[(1, 3, 0, 10)]);
    producers.marked(&claim(1, 4, 0, 1), 500, at(1));
    let known = producers.get(1).expect("known");
    assert_eq!(
        (known.epoch, known.last_timestamp_ms, known.batches().len()),
        (4, 500, 0)
    );
    assert_eq!(
        producers.judge(&claim(1, 4, 0, 1), Strictness::Sequence),
        Ok(Judgement::Next)
    );
    assert!(expects(0)(
        producers.judge(&claim(1, 4, 10, 1), Strictness::Sequence)
    ));

    // Within the epoch it does not touch the sequence.
    let mut producers = after(&[(1, 3, 0, 10)]);
    producers.marked(&claim(1, 3, 0, 1), 500, at(1));
    assert_eq!(
        producers.judge(&claim(1, 3, 10, 1), Strictness::Sequence),
        Ok(Judgement::Next)
    );
}

#[test]
fn an_idle_producer_is_forgotten_and_one_with_an_open_transaction_is_not() {
    let mut producers = Producers::new(100, Census::default());
    let kept = Kept {
        last_sequence: 0,
        last_offset: Offset::ZERO,
        offset_delta: 0,
        timestamp_ms: 0,
    };
    producers.placed(&claim(1, 0, 0, 1), kept, at(0));
    producers.placed(&claim(2, 0, 0, 1), kept, at(50));
    let open = Producer::remembered(0, -1, 0, Some(Offset::ZERO), Some(kept));
    producers.known.insert(3, open);
    assert_eq!(producers.expire(at(99), 100_000), 0);
    assert_eq!(producers.expire(at(100), 100_000), 1);
    assert!(producers.get(1).is_none() && producers.get(2).is_some());
    // An old timestamp of a client's records is no reason to forget it: only silence is.
    assert_eq!(producers.expire(at(500), 100_000), 1);
    assert!(producers.get(3).is_some());
}

#[test]
fn beyond_the_maximum_the_least_recently_used_are_forgotten() {
    let mut producers = Producers::new(32, Census::default());
    let mut end = 0;
    for producer_id in 0..32 {
        place(&mut producers, &claim(producer_id, 0, 0, 1), &mut end, 1);
    }
    place(&mut producers, &claim(0, 0, 1, 1), &mut end, 1);
    place(&mut producers, &claim(100, 0, 0, 1), &mut end, 1);
    let known: Vec<i64> = producers
        .iter()
        .map(|(producer_id, _)| producer_id)
        .collect();
    // A sixteenth of 32 went: 1 and 2, for 0 has been used since.
    assert_eq!(
        known,
        std::iter::once(0)
            .chain(3..32)
            .chain([100])
            .collect::<Vec<_>>()
    );
    for producer_id in 1000..5000 {
        place(&mut producers, &claim(producer_id, 0, 0, 1), &mut end, 1);
        assert!(producers.len() <= 32);
    }
    assert_eq!(
        producers.judge(&claim(0, 0, 99, 1), Strictness::Sequence),
        Ok(Judgement::Next),
        "a forgotten producer may go on with any sequence"
    );
}

#[test]
fn what_was_restored_is_forgotten_in_the_order_of_its_offsets() {
    let remembered = |last_offset| {
        let kept = Kept {
            last_sequence: 0,
            last_offset: Offset::new(last_offset),
            offset_delta: 0,
            timestamp_ms: 0,
        };
        Producer::remembered(0, -1, 0, None, Some(kept))
    };
    let mut producers = Producers::new(16, Census::default());
    producers.restore((0..20).map(|id| (id, remembered(100 - id))), at(0));
    let known: Vec<i64> = producers
        .iter()
        .map(|(producer_id, _)| producer_id)
        .collect();
    assert_eq!(known, (0..16).collect::<Vec<_>>());
}

#[test]
fn a_full_shard_lets_a_partition_remember_a_few_and_forget_its_own_for_the_next() {
    let census = Census::default();
    let mut crowd = Producers::new(u32::MAX, census.clone());
    let mut end = 0;
    for producer_id in 0..i64::try_from(PRODUCERS_PER_SHARD_MAX).expect("small") {
        place(&mut crowd, &claim(producer_id, 0, 0, 1), &mut end, 1);
    }
    assert_eq!(census.producers(), PRODUCERS_PER_SHARD_MAX);
    let mut few = Producers::new(1000, census.clone());
    for producer_id in 0..100 {
        place(&mut few, &claim(producer_id, 0, 0, 1), &mut end, 1);
        assert!(few.len() <= KNOWN_MIN);
    }
    assert_eq!(
        (few.len(), crowd.len()),
        (KNOWN_MIN, PRODUCERS_PER_SHARD_MAX)
    );
    assert_eq!(census.producers(), PRODUCERS_PER_SHARD_MAX + KNOWN_MIN);
    crowd.expire(at(1000), 1);
    assert_eq!(census.producers(), KNOWN_MIN);
    drop(few);
    assert_eq!(census.producers(), 0);
}

/// The rules once more, as simply as they can be written: the whole history is kept and searched.
#[derive(Default)]
struct Model {
    batches: Vec<(Claim, i64)>,
}

impl Model {
    fn judge(&self, claim: &Claim) -> Result<Option<i64>, bool> {
        let mine: Vec<_> = self
            .batches
            .iter()
            .filter(|(other, _)| other.producer_id == claim.producer_id)
            .collect();
        let Some((last, _)) = mine.last() else {
            return Ok(None);
        };
        if claim.epoch < last.epoch {
            return Err(true);
        }
        let of_epoch = mine.iter().filter(|(other, _)| other.epoch == claim.epoch);
        if let Some((_, base)) = of_epoch.rev().take(5).find(|(other, _)| other == claim) {
            return Ok(Some(*base));
        }
        let expected = if claim.epoch > last.epoch {
            0
        } else {
            (i64::from(last.last_sequence) + 1) % (1 << 31)
        };
        if i64::from(claim.first_sequence) == expected {
            Ok(None)
        } else {
            Err(false)
        }
    }
}

/// Where a batch starts, told by what came last from its producer.
#[derive(Debug, Clone, Copy)]
enum Start {
    Next,
    Back(usize),
    Sequence(i32),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_kept_batches_decide_as_the_whole_history_would(
        steps in prop::collection::vec(
            (0..3i64, -1..2i16, 1..4i32, prop_oneof![
                6 => Just(Start::Next),
                3 => (0..8usize).prop_map(Start::Back),
                1 => prop_oneof![0..12i32, (i32::MAX - 4)..=i32::MAX].prop_map(Start::Sequence),
            ]),
            0..120,
        ),
        first in prop_oneof![Just(0), (i32::MAX - 20)..=i32::MAX],
    ) {
        let mut producers = Producers::new(1000, Census::default());
        let mut model = Model::default();
        let mut end = 0;
        for (producer_id, epoch_step, records, start) in steps {
            let mine: Vec<Claim> =
                model.batches.iter().map(|(claim, _)| *claim).filter(|claim| claim.producer_id == producer_id).collect();
            let last = mine.last();
            let epoch = (last.map_or(0, |last| last.epoch) + epoch_step).max(0);
            let claim = match (start, last) {
                (Start::Back(back), Some(_)) => mine[mine.len().saturating_sub(1 + back)],
                (Start::Sequence(sequence), _) => claim(producer_id, epoch, sequence, records),
                (Start::Next, Some(last)) if epoch == last.epoch =>
                    claim(producer_id, epoch, sequence_after(last.last_sequence, 1), records),
                (Start::Next, Some(_)) => claim(producer_id, epoch, 0, records),
                (Start::Next | Start::Back(_), None) => claim(producer_id, epoch, first, records),
            };
            let records = sequence_before(claim.last_sequence, claim.first_sequence).wrapping_add(1);
            let records = if records <= 0 { 1 } else { records };
            let told = producers.judge(&claim, Strictness::Sequence);
            match model.judge(&claim) {
                Ok(None) => {
                    prop_assert_eq!(told, Ok(Judgement::Next));
                    model.batches.push((claim, end));
                    place(&mut producers, &claim, &mut end, records);
                }
                Ok(Some(base)) => {
                    prop_assert!(matches!(told, Ok(Judgement::Repeated(kept)) if kept.first_offset() == Offset::new(base)));
                }
                Err(fenced) => prop_assert_eq!(matches!(told, Err(Disorder::Epoch { .. })), fenced),
            }
            prop_assert!(producers.iter().all(|(_, producer)| producer.batches().len() <= KEPT_BATCHES));
        }
    }

    #[test]
    fn a_sequence_goes_forth_and_back(sequence in 0..=i32::MAX, count in 0..=i32::MAX) {
        prop_assert_eq!(sequence_before(sequence_after(sequence, count), count), sequence);
        prop_assert!(sequence_before(sequence, count) >= 0);
    }
}
