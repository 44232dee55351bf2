//! A fetch session with one broker (KIP-227): the broker remembers what was asked, so that the next
//! request only says what changed.
//!
//! Knows partitions as numbers that somebody else gives meaning to.

use std::collections::BTreeMap;

/// What is asked of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) bytes_max: i32,
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

/// What the broker remembers of us.
#[derive(Debug, Default)]
pub(crate) struct Session {
    id: i32,
    epoch: i32,
    /// What the broker believes to be asked.
    known: BTreeMap<usize, Want>,
}

impl Session {
    /// Plans the request that asks for exactly `wants`.
    pub(crate) fn plan(&mut self, wants: BTreeMap<usize, Want>) -> Plan {
        let plan = if self.id == 0 || self.epoch == OPEN {
            let ask = wants
                .iter()
                .map(|(partition, want)| (*partition, *want))
                .collect();
            Plan {
                id: 0,
                epoch: OPEN,
                ask,
                forget: Vec::new(),
            }
        } else {
            let changed = |(partition, want): &(&usize, &Want)| {
                self.known.get(partition).is_none_or(|known| known != *want)
            };
            let ask = wants
                .iter()
                .filter(changed)
                .map(|(p, want)| (*p, *want))
                .collect();
            let gone = self
                .known
                .keys()
                .filter(|partition| !wants.contains_key(partition));
            Plan {
                id: self.id,
                epoch: self.epoch,
                ask,
                forget: gone.copied().collect(),
            }
        };
        self.known = wants;
        plan
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
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(offsets: &[(usize, i64)]) -> BTreeMap<usize, Want> {
        let want = |offset| Want {
            offset,
            leader_epoch: 0,
            bytes_max: 100,
        };
        offsets
            .iter()
            .map(|(partition, offset)| (*partition, want(*offset)))
            .collect()
    }

    fn asked(plan: &Plan) -> Vec<(usize, i64)> {
        plan.ask
            .iter()
            .map(|(partition, want)| (*partition, want.offset))
            .collect()
    }

    #[test]
    fn the_first_request_says_all_and_the_next_what_changed() {
        let mut session = Session::default();
        let plan = session.plan(wants(&[(0, 5), (1, 5), (2, 5)]));
        assert_eq!((plan.id, plan.epoch), (0, 0));
        assert_eq!(asked(&plan), [(0, 5), (1, 5), (2, 5)]);
        session.answered(77);
        let plan = session.plan(wants(&[(0, 5), (1, 9), (3, 0)]));
        assert_eq!((plan.id, plan.epoch), (77, 1));
        assert_eq!(asked(&plan), [(1, 9), (3, 0)]);
        assert_eq!(plan.forget, [2]);
        session.answered(77);
        let plan = session.plan(wants(&[(0, 5), (1, 9), (3, 0)]));
        assert_eq!((plan.epoch, plan.ask.len(), plan.forget.len()), (2, 0, 0));
    }

    #[test]
    fn a_broker_without_room_for_a_session_is_asked_in_full_each_time() {
        let mut session = Session::default();
        for _ in 0..2 {
            let plan = session.plan(wants(&[(0, 5)]));
            assert_eq!((plan.id, plan.epoch, asked(&plan)), (0, 0, vec![(0, 5)]));
            session.answered(0);
        }
    }

    #[test]
    fn a_forgotten_session_is_opened_anew() {
        let mut session = Session::default();
        session.plan(wants(&[(0, 5)]));
        session.answered(77);
        session.reset();
        let plan = session.plan(wants(&[(0, 5)]));
        assert_eq!((plan.id, plan.epoch, asked(&plan)), (0, 0, vec![(0, 5)]));
    }

    #[test]
    fn the_epoch_wraps_past_the_one_that_opens() {
        let mut session = Session {
            id: 1,
            epoch: i32::MAX,
            known: BTreeMap::new(),
        };
        session.answered(1);
        assert_eq!(session.plan(wants(&[])).epoch, 1);
    }
}
