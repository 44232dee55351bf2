//! Answers that wait until what they tell of is safe, in the order they were made. It knows offsets, not what is answered.

use std::collections::VecDeque;

use highwater_reactor::Instant;
use highwater_reactor::local::oneshot;
use highwater_record::Offset;

use super::inquiry::{Inquiry, Reply};

/// An answer that is made, and where it goes.
#[derive(Debug)]
pub(super) struct Due {
    /// Everything below it must be safe before the answer leaves.
    pub(super) end: Offset,
    /// The answer.
    pub(super) reply: Reply,
    /// What it answers: if nothing becomes safe any more, something else is answered.
    pub(super) inquiry: Inquiry,
    /// How long it is waited for.
    pub(super) until: Instant,
    /// Who waits for it.
    pub(super) sender: oneshot::Sender<Reply>,
}

/// See the module. Invariant: `end` does not fall from front to back.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    line: VecDeque<Due>,
}

impl Outbox {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Puts an answer at the end of the line.
    pub(super) fn push(&mut self, due: Due) {
        debug_assert!(self.line.back().is_none_or(|last| last.end <= due.end));
        self.line.push_back(due);
    }

    /// What the first in line waits for, and until when.
    pub(super) fn first(&self) -> Option<(Offset, Instant)> {
        self.line.front().map(|due| (due.end, due.until))
    }

    /// Takes out those from the front that may go.
    pub(super) fn take_while(&mut self, may_go: impl Fn(&Due) -> bool) -> Vec<Due> {
        let count = self.line.iter().take_while(|due| may_go(due)).count();
        self.line.drain(..count).collect()
    }
}
