//! What is shared, without anybody who fetches.

use std::pin::pin;
use std::task::{Context, Waker};

use bytes::Bytes;

use super::*;
use crate::core::consumer::aborted::Aborted;

/// Two partitions, led by two brokers that somebody fetches from, of which the first fills the buffer.
fn full() -> (State, [Arc<Notify>; 2]) {
    let mut state = State::default();
    let wakes = [0, 1].map(|broker| state.add_fetcher(broker));
    for broker in [0, 1] {
        let slot = state.assign(&TopicPartition::new("t", broker), Start::Offset(0));
        state.set_leader(slot, broker, 1);
        state.take_touched(broker);
    }
    let fetched = Fetched {
        bytes: Bytes::from_static(b"records"),
        high_watermark: 1,
        aborted: Aborted::default(),
    };
    state.push(0, Waiting::Fetched(fetched));
    state.starved = true;
    assert!(wakes.iter().all(is_woken), "to look at their partitions");
    (state, wakes)
}

fn is_woken(wake: &Arc<Notify>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    pin!(wake.notified()).poll(&mut context).is_ready()
}

#[test]
fn room_that_comes_by_any_way_wakes_who_found_none() {
    let ways: [fn(&mut State); 5] = [
        |state| drop(state.take(0)),
        |state| drop(state.take_next()),
        |state| drop(state.unassign(0)),
        |state| state.seek(0, Start::Latest),
        |state| state.clear(0),
    ];
    for way in ways {
        let (mut state, wakes) = full();
        way(&mut state);
        assert_eq!(state.waiting_bytes, 0);
        assert!(is_woken(&wakes[1]), "who fetches another partition");
    }
}

#[test]
fn the_room_is_blocked_while_all_that_waits_is_paused() {
    let (mut state, wakes) = full();
    assert!(!state.is_blocked());
    state.set_paused(0, true);
    assert!(state.is_blocked());
    assert!(is_woken(&wakes[1]), "taking makes no room any more");
    state.set_paused(0, false);
    assert!(!state.is_blocked());
    drop(state.take_next());
    assert!(!state.is_blocked(), "there is none to be blocked");
}

#[test]
fn an_error_that_is_taken_may_leave_nothing_but_what_is_paused() {
    let (mut state, wakes) = full();
    state.push(1, Waiting::Failed(Error::new(ErrorKind::Offset, "nowhere")));
    state.set_paused(0, true);
    assert!(!state.is_blocked());
    assert!(is_woken(&wakes[1]));
    // It found no room either.
    state.starved = true;
    assert!(state.take_next().is_err());
    assert!(state.is_blocked());
    assert!(is_woken(&wakes[1]), "taking makes no room any more");
}

#[test]
fn it_is_told_once_an_answer_that_less_than_half_is_left() {
    let mut state = State::default();
    let fetched = || {
        Waiting::Fetched(Fetched {
            bytes: Bytes::from_static(b"records"),
            high_watermark: 1,
            aborted: Aborted::default(),
        })
    };
    for partition in 0..4 {
        let slot = state.assign(&TopicPartition::new("t", partition), Start::Offset(0));
        state.push(slot, fetched());
    }
    for expected in [false, false, true, false] {
        assert!(state.take_next().unwrap().is_some());
        assert_eq!(state.ebbs(), expected);
    }
    state.push(0, fetched());
    assert!(!state.ebbs(), "all of it is left");
    assert!(state.take_next().unwrap().is_some());
    assert!(state.ebbs());
    assert!(!state.ebbs());
}

#[test]
fn what_was_not_committed_counts_as_moved_still() {
    let mut state = State::default();
    let place = TopicPartition::new("t", 0);
    let slot = state.assign(&place, Start::Offset(5));
    let start = Place {
        offset: 5,
        leader_epoch: 1,
    };
    let track = Track::new(Some(start), Arc::new(Notify::new()));
    state.slots[slot].track = Some(Arc::clone(&track));
    let sent = state.moved_watermarks();
    assert_eq!(sent[&place].offset, 5);
    assert!(state.moved_watermarks().is_empty());
    state.not_committed(&sent);
    assert_eq!(state.moved_watermarks(), sent);
    track.say(Committed::from(7), false);
    assert_eq!(state.moved_watermarks()[&place].offset, 7);
    state.not_committed(&sent);
    assert!(
        state.moved_watermarks().is_empty(),
        "the later one is on its way"
    );
}
