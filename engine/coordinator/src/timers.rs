//! Who is to be looked at when. Setting a time-out again only moves its deadline; the queue finds out when the old one is
//! due, so that a heartbeat costs neither a move in the queue nor memory.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// What a time-out is about. Setting one that runs replaces it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Timeout {
    /// A classic member was not heard of, or never joined with the id it was given.
    ClassicSession { group: Rc<str>, member: Rc<str> },
    /// The join phase of a classic group ends.
    ClassicJoin { group: Rc<str> },
    /// The sync phase of a classic group ends.
    ClassicSync { group: Rc<str> },
    /// A member of a consumer group was not heard of.
    ConsumerSession { group: Rc<str>, member: Rc<str> },
    /// A member of a consumer group has not let go of its partitions.
    ConsumerRebalance { group: Rc<str>, member: Rc<str> },
    /// A classic member of a consumer group has not joined again.
    ConsumerJoin { group: Rc<str>, member: Rc<str> },
    /// A classic member of a consumer group has not asked for its assignment.
    ConsumerSync { group: Rc<str>, member: Rc<str> },
    /// Patterns of a consumer group are to be held against the topics again.
    ConsumerRegex { group: Rc<str> },
    /// Expired offsets are to be looked for.
    OffsetExpiry,
}

impl Timeout {
    /// The group it is about, if it is about one.
    pub(crate) fn group(&self) -> Option<&Rc<str>> {
        match self {
            Timeout::ClassicSession { group, .. }
            | Timeout::ClassicJoin { group }
            | Timeout::ClassicSync { group }
            | Timeout::ConsumerSession { group, .. }
            | Timeout::ConsumerRebalance { group, .. }
            | Timeout::ConsumerJoin { group, .. }
            | Timeout::ConsumerSync { group, .. }
            | Timeout::ConsumerRegex { group } => Some(group),
            Timeout::OffsetExpiry => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// When it is due. Invariant: `due_ms >= queued_ms`.
    due_ms: i64,
    /// Where it stands in the queue.
    queued_ms: i64,
}

/// Time-outs by what they are about, and by when they are due.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    places: HashMap<Timeout, Place>,
    /// Invariant: one entry for each of `places`, at its `queued_ms`.
    queue: BTreeSet<(i64, Timeout)>,
}

impl Timers {
    /// Sets the time-out, or moves it.
    pub(crate) fn set(&mut self, timeout: Timeout, due_ms: i64) {
        if let Some(place) = self.places.get_mut(&timeout) {
            place.due_ms = due_ms;
            if due_ms < place.queued_ms {
                let queued = (place.queued_ms, timeout);
                place.queued_ms = due_ms;
                self.queue.remove(&queued);
                self.queue.insert((due_ms, queued.1));
            }
            return;
        }
        let queued_ms = due_ms;
        self.places
            .insert(timeout.clone(), Place { due_ms, queued_ms });
        self.queue.insert((queued_ms, timeout));
    }

    /// Takes the time-out back; nothing happens where there is none.
    pub(crate) fn cancel(&mut self, timeout: &Timeout) {
        if let Some((timeout, place)) = self.places.remove_entry(timeout) {
            self.queue.remove(&(place.queued_ms, timeout));
        }
    }

    /// Whether the time-out runs.
    pub(crate) fn is_set(&self, timeout: &Timeout) -> bool {
        self.places.contains_key(timeout)
    }

    /// When to look again: nothing is due before, though nothing need be due then.
    pub(crate) fn due_ms(&self) -> Option<i64> {
        self.queue.first().map(|(queued_ms, _)| *queued_ms)
    }

    /// Takes the first of what is due at `now_ms`.
    pub(crate) fn pop(&mut self, now_ms: i64) -> Option<Timeout> {
        while self
            .queue
            .first()
            .is_some_and(|(queued_ms, _)| *queued_ms <= now_ms)
        {
            let (_, timeout) = self.queue.pop_first()?;
            let place = self.places.get_mut(&timeout)?;
            if place.due_ms <= now_ms {
                self.places.remove(&timeout);
                return Some(timeout);
            }
            place.queued_ms = place.due_ms;
            self.queue.insert((place.due_ms, timeout));
        }
        None
    }

    /// How many run.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(member: &str) -> Timeout {
        Timeout::ClassicSession {
            group: "g".into(),
            member: member.into(),
        }
    }

    #[test]
    fn a_time_out_that_was_put_off_comes_at_its_last_deadline_and_once() {
        let mut timers = Timers::default();
        timers.set(session("a"), 10);
        timers.set(session("a"), 20);
        timers.set(session("b"), 15);
        assert_eq!(timers.due_ms(), Some(10));
        assert_eq!(timers.pop(9), None);
        assert_eq!(timers.pop(10), None);
        assert_eq!(timers.due_ms(), Some(15));
        assert_eq!(timers.pop(30), Some(session("b")));
        assert_eq!(timers.pop(30), Some(session("a")));
        assert_eq!(timers.pop(30), None);
        assert_eq!((timers.len(), timers.due_ms()), (0, None));
    }

    #[test]
    fn a_time_out_that_was_brought_forward_comes_early() {
        let mut timers = Timers::default();
        timers.set(session("a"), 20);
        timers.set(session("a"), 10);
        assert_eq!(timers.due_ms(), Some(10));
        assert_eq!(timers.pop(10), Some(session("a")));
        assert_eq!(timers.due_ms(), None);
    }

    #[test]
    fn what_was_taken_back_leaves_nothing() {
        let mut timers = Timers::default();
        timers.set(session("a"), 20);
        timers.set(session("a"), 30);
        assert!(timers.is_set(&session("a")));
        timers.cancel(&session("a"));
        timers.cancel(&session("b"));
        assert_eq!((timers.len(), timers.due_ms()), (0, None));
        assert_eq!(timers.pop(i64::MAX), None);
    }
}
