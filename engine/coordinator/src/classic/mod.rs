//! Classic groups: the members choose a leader's assignment, generation by generation; the coordinator only gathers them.

use std::rc::Rc;

/// A classic group, also one that only holds offsets.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    id: Rc<str>,
}

impl ClassicGroup {
    /// The group's id.
    pub(crate) fn id(&self) -> &Rc<str> {
        &self.id
    }
}
