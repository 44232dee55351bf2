use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;

/// Counts who was told, and in which order.
struct Told {
    number: usize,
    order: Arc<AtomicUsize>,
    at: AtomicUsize,
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.at.store(
            self.order.fetch_add(1, Ordering::SeqCst) + 1,
            Ordering::SeqCst,
        );
    }
}

#[derive(Default)]
struct Room {
    waiters: Waiters,
    told: RefCell<Vec<Arc<Told>>>,
    order: Arc<AtomicUsize>,
}

impl Room {
    fn wait(&mut self, at: i64) -> Option<Place> {
        let number = self.told.borrow().len();
        let told = Arc::new(Told {
            number,
            order: Arc::clone(&self.order),
            at: AtomicUsize::new(0),
        });
        self.told.borrow_mut().push(Arc::clone(&told));
        let mut place = None;
        assert!(
            self.waiters
                .wait(Offset::new(at), &mut place, &told.into())
                .is_none()
        );
        place
    }

    /// The numbers of those who were told, in the order in which they were.
    fn order(&self) -> Vec<usize> {
        let told = self.told.borrow();
        let mut told: Vec<_> = told
            .iter()
            .map(|told| (told.at.load(Ordering::SeqCst), told.number))
            .filter(|(at, _)| *at > 0)
            .collect();
        told.sort_unstable();
        told.into_iter().map(|(_, number)| number).collect()
    }
}

#[test]
fn those_whose_offset_is_reached_are_told_by_offset_then_by_arrival() {
    let mut room = Room::default();
    for at in [7, 3, 5, 3, 9] {
        room.wait(at);
    }
    room.waiters.reached(Offset::new(2)).wake();
    assert!(room.order().is_empty());
    room.waiters.reached(Offset::new(7)).wake();
    assert_eq!(room.order(), [1, 3, 2, 0]);
    assert_eq!(room.waiters.len(), 1);
    room.waiters.everyone().wake();
    assert_eq!(room.order(), [1, 3, 2, 0, 4]);
    assert_eq!(room.waiters.len(), 0);
}

#[test]
fn who_leaves_is_not_told_and_takes_up_no_room() {
    let mut room = Room::default();
    let first = room.wait(3).expect("a place");
    room.wait(3);
    assert!(room.waiters.leave(first).is_some());
    assert!(room.waiters.leave(first).is_none());
    room.waiters.reached(Offset::new(3)).wake();
    assert_eq!(room.order(), [1]);
}

#[test]
fn who_asks_again_keeps_the_place_and_is_told_once() {
    let mut room = Room::default();
    let mut place = room.wait(3);
    let first = place;
    room.wait(3);
    let told = Arc::clone(&room.told.borrow()[0]);
    let waker: Waker = told.into();
    assert!(
        room.waiters
            .wait(Offset::new(3), &mut place, &waker)
            .is_none()
    );
    assert_eq!(place, first);
    assert_eq!(room.waiters.len(), 2);
    // A waker of another task takes the place over; the old one is handed back.
    let other = Arc::clone(&room.told.borrow()[1]);
    assert!(
        room.waiters
            .wait(Offset::new(3), &mut place, &other.into())
            .is_some()
    );
    room.waiters.reached(Offset::new(3)).wake();
    assert_eq!(room.order(), [1]);
}

#[test]
fn a_place_that_was_told_is_renewed_by_asking_again() {
    let mut room = Room::default();
    let mut place = room.wait(3);
    room.waiters.reached(Offset::new(3)).wake();
    let told = Arc::clone(&room.told.borrow()[0]);
    assert!(
        room.waiters
            .wait(Offset::new(8), &mut place, &told.into())
            .is_none()
    );
    assert_eq!(room.waiters.len(), 1);
    assert!(room.waiters.leave(place.expect("a place")).is_some());
}
