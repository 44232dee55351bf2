//! A fetch session with one broker (KIP-227): the broker remembers what was asked, so that the next
//! request only says what changed.
//!
//! Knows partitions as numbers that somebody else gives meaning to. What a request costs is
//! proportional to what changed since the one before, however many partitions are asked about.

use std::collections::{BTreeMap, BTreeSet};

/// What is asked of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) bytes_max: i32,
    /// Of the cursor: tells what was asked before a seek from what was asked after it.
    pub(crate) generation: u32,
}

/// What goes into the next request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) id: i32,
    pub(crate) epoch: i32,
    pub(crate) ask: Vec<(usize, Want)>,
    pub(crate) forget: Vec<usize>,
}

/// The epoch of a request that opens a session.
const OPEN: i32 = 0;

/// What is wanted of a broker, and what it remembers of that.
#[derive(Debug, Default)]
pub(crate) struct Session {
    id: i32,
    epoch: i32,
    wants: BTreeMap<usize, Want>,
    /// What the last request asked for, with those before it in the session.
    known: BTreeMap<usize, Want>,
    /// Where the two may differ.
    changed: BTreeSet<usize>,
}

impl Session {
    /// This is to be asked about a partition from the next request on.
    pub(crate) fn want(&mut self, partition: usize, want: Want) {
        if self.wants.insert(partition, want) != Some(want) {
            self.changed.insert(partition);
        }
    }

    /// Nothing is to be asked about a partition.
    pub(crate) fn unwant(&mut self, partition: usize) -> bool {
        let wanted = self.wants.remove(&partition).is_some();
        if wanted {
            self.changed.insert(partition);
        }
        wanted
    }

    pub(crate) fn wants(&self, partition: usize) -> Option<Want> {
        self.wants.get(&partition).copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wants.is_empty()
    }

    /// How many partitions are wanted.
    pub(crate) fn len(&self) -> usize {
        self.wants.len()
    }

    pub(crate) fn wanted(&self) -> impl Iterator<Item = usize> {
        self.wants.keys().copied()
    }

    /// Plans the request that asks for what is wanted.
    pub(crate) fn plan(&mut self) -> Plan {
        let changed = std::mem::take(&mut self.changed);
        if self.id == 0 || self.epoch == OPEN {
            self.known.clone_from(&self.wants);
            return Plan {
                id: 0,
                epoch: OPEN,
                ask: self.wants.iter().map(|(it, want)| (*it, *want)).collect(),
                forget: Vec::new(),
            };
        }
        let (mut ask, mut forget) = (Vec::new(), Vec::new());
        for partition in changed {
            match self.wants.get(&partition).copied() {
                None if self.known.remove(&partition).is_some() => forget.push(partition),
                Some(want) if self.known.insert(partition, want) != Some(want) => {
                    ask.push((partition, want));
                }
                Some(_) | None => {}
            }
        }
        Plan {
            id: self.id,
            epoch: self.epoch,
            ask,
            forget,
        }
    }

    /// Whether the broker knew the session before the request under way.
    pub(crate) fn is_open(&self) -> bool {
        self.id != 0
    }

    /// What the request under way asks about a partition.
    pub(crate) fn asked(&self, partition: usize) -> Option<Want> {
        self.known.get(&partition).copied()
    }

    /// The broker answered, with the id it gave the session (0: none).
    pub(crate) fn answered(&mut self, id: i32) {
        if id == 0 {
            self.reset();
        } else {
            self.id = id;
            // Wraps to 1: 0 would open another.
            self.epoch = self.epoch.checked_add(1).unwrap_or(1);
        }
    }

    /// The broker has forgotten, or cannot be asked whether it has.
    pub(crate) fn reset(&mut self) {
        self.id = 0;
        self.epoch = OPEN;
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn want(offset: i64) -> Want {
        Want {
            offset,
            leader_epoch: 0,
            bytes_max: 100,
            generation: 1,
        }
    }

    fn asks(plan: &Plan) -> Vec<(usize, i64)> {
        plan.ask
            .iter()
            .map(|(it, want)| (*it, want.offset))
            .collect()
    }

    #[test]
    fn the_first_request_says_all_and_the_next_what_changed() {
        let mut session = Session::default();
        (0..3).for_each(|it| session.want(it, want(10)));
        let plan = session.plan();
        assert_eq!((plan.id, plan.epoch, plan.ask.len()), (0, OPEN, 3));
        session.answered(77);
        session.want(0, want(11));
        session.want(1, want(10));
        session.unwant(2);
        let plan = session.plan();
        assert_eq!((plan.id, plan.epoch), (77, 1));
        assert_eq!((asks(&plan), plan.forget), (vec![(0, 11)], vec![2]));
        session.answered(77);
        let plan = session.plan();
        assert_eq!((plan.epoch, plan.ask, plan.forget), (2, vec![], vec![]));
    }

    #[test]
    fn a_forgotten_session_is_opened_anew() {
        let mut session = Session::default();
        session.want(0, want(1));
        session.plan();
        session.answered(77);
        session.reset();
        let plan = session.plan();
        assert_eq!((plan.id, plan.epoch, asks(&plan)), (0, OPEN, vec![(0, 1)]));
    }

    #[test]
    fn a_broker_without_room_for_a_session_is_asked_in_full_each_time() {
        let mut session = Session::default();
        session.want(0, want(1));
        for _ in 0..3 {
            let plan = session.plan();
            assert_eq!((plan.epoch, asks(&plan)), (OPEN, vec![(0, 1)]));
            session.answered(0);
        }
    }

    #[test]
    fn the_epoch_wraps_past_the_one_that_opens() {
        let mut session = Session {
            id: 7,
            epoch: i32::MAX,
            ..Session::default()
        };
        session.answered(7);
        assert_eq!(session.plan().epoch, 1);
    }

    proptest! {
        /// A broker that does what the requests say knows what is wanted after each of them.
        #[test]
        fn the_broker_always_knows_what_is_wanted(
            steps in prop::collection::vec((0usize..6, 0i64..4, 0u8..8), 1..60),
        ) {
            let (mut session, mut broker) = (Session::default(), BTreeMap::new());
            let mut wants = BTreeMap::new();
            for (partition, offset, what) in steps {
                match what {
                    0..=3 => {
                        session.want(partition, want(offset));
                        wants.insert(partition, want(offset));
                    }
                    4 | 5 => {
                        prop_assert_eq!(session.unwant(partition), wants.remove(&partition).is_some());
                    }
                    6 => session.reset(),
                    _ => {
                        let plan = session.plan();
                        if plan.epoch == OPEN {
                            broker.clear();
                        }
                        plan.forget.iter().for_each(|it| { broker.remove(it); });
                        broker.extend(plan.ask);
                        prop_assert_eq!(&broker, &wants);
                        for partition in 0..6 {
                            prop_assert_eq!(session.asked(partition), wants.get(&partition).copied());
                        }
                        session.answered(9);
                    }
                }
            }
        }
    }
}
