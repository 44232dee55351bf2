//! The names in one directory: what a list sees, what is durable, and the changes in between.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::Crash;
use crate::sim::chance::Chance;

#[derive(Debug, Default)]
pub(super) struct Directory {
    entries: BTreeMap<OsString, u64>,
    durable: BTreeMap<OsString, u64>,
    /// Changes that no sync has covered yet, in order.
    pending: Vec<Change>,
    /// Changes ever made.
    changes: u64,
}

#[derive(Debug)]
enum Change {
    Set(OsString, u64),
    Unset(OsString),
    Rename(OsString, OsString, u64),
}

impl Change {
    fn apply(&self, entries: &mut BTreeMap<OsString, u64>) {
        match self {
            Self::Set(name, node) => {
                entries.insert(name.clone(), *node);
            }
            Self::Unset(name) => {
                entries.remove(name);
            }
            Self::Rename(from, to, node) => {
                entries.remove(from);
                entries.insert(to.clone(), *node);
            }
        }
    }
}

impl Directory {
    pub(super) fn entries(&self) -> &BTreeMap<OsString, u64> {
        &self.entries
    }

    pub(super) fn durable(&self) -> &BTreeMap<OsString, u64> {
        &self.durable
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.entries);
        self.pending.push(change);
        self.changes += 1;
    }

    pub(super) fn set(&mut self, name: &OsStr, node: u64) {
        self.change(Change::Set(name.to_owned(), node));
    }

    pub(super) fn unset(&mut self, name: &OsStr) {
        self.change(Change::Unset(name.to_owned()));
    }

    pub(super) fn rename(&mut self, from: &OsStr, to: &OsStr, node: u64) {
        self.change(Change::Rename(from.to_owned(), to.to_owned(), node));
    }

    /// How many changes there have been: what a sync that begins now covers.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Makes the first `upto` changes ever made durable.
    pub(super) fn sync(&mut self, upto: u64) {
        let covered = self.changes - self.pending.len() as u64;
        let count = upto.saturating_sub(covered).min(self.pending.len() as u64);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        for change in self.pending.drain(..count) {
            change.apply(&mut self.durable);
        }
    }

    pub(super) fn crash(&mut self, crash: Crash, chance: &mut Chance) {
        let kept = match crash {
            Crash::KeepAll => return,
            Crash::LoseUnsynced => 0,
            Crash::KeepPrefix | Crash::KeepRandom => chance.index(self.pending.len() + 1),
            Crash::Torn { .. } => self.pending.len(),
        };
        for change in self.pending.drain(..).take(kept) {
            change.apply(&mut self.durable);
        }
        self.entries.clone_from(&self.durable);
    }
}
