//! A gate that opens once and stays open. It carries no value.

use std::cell::Cell;
use std::rc::Rc;

use super::Notify;

/// Opens once; who waits then or later passes. Clones share the gate.
#[derive(Clone, Debug, Default)]
pub struct Latch {
    open: Rc<Cell<bool>>,
    opened: Notify,
}

impl Latch {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens it for good.
    pub fn open(&self) {
        if !self.open.replace(true) {
            self.opened.notify_all();
        }
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    /// Waits until it is open.
    pub async fn wait(&self) {
        while !self.open.get() {
            self.opened.notified().await;
        }
    }
}
