//! Which operation fails, by its ordinal. It does not know what the operations do.

use std::collections::BTreeMap;
use std::io;

use super::Operation;

#[derive(Debug, Default)]
pub(super) struct Faults {
    counts: BTreeMap<Operation, u64>,
    /// By kind and ordinal: how many bytes pass before it fails, and how.
    once: BTreeMap<(Operation, u64), (u64, i32)>,
    /// By kind: from which ordinal on all fail, and how.
    from: BTreeMap<Operation, (u64, i32)>,
    /// By kind: with which ordinal everything ends.
    death: BTreeMap<Operation, u64>,
    dead: bool,
}

/// What becomes of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Pass,
    FailAfter { bytes: u64, errno: i32 },
}

impl Faults {
    pub(super) fn count(&self, operation: Operation) -> u64 {
        self.counts.get(&operation).copied().unwrap_or(0)
    }

    pub(super) fn fail_at(&mut self, operation: Operation, nth: u64, bytes: u64, errno: i32) {
        self.once
            .insert((operation, self.count(operation) + nth), (bytes, errno));
    }

    pub(super) fn fail_from(&mut self, operation: Operation, nth: u64, errno: i32) {
        self.from
            .insert(operation, (self.count(operation) + nth, errno));
    }

    pub(super) fn die_at(&mut self, operation: Operation, nth: u64) {
        self.death.insert(operation, self.count(operation) + nth);
    }

    pub(super) fn heal(&mut self) {
        self.once.clear();
        self.from.clear();
        self.death.clear();
        self.dead = false;
    }

    /// Counts an operation and says what becomes of it.
    pub(super) fn judge(&mut self, operation: Operation) -> Verdict {
        let count = self.counts.entry(operation).or_default();
        *count += 1;
        let ordinal = *count;
        self.dead |= self.death.get(&operation) == Some(&ordinal);
        if self.dead {
            return Verdict::FailAfter {
                bytes: 0,
                errno: libc::EIO,
            };
        }
        if let Some((bytes, errno)) = self.once.remove(&(operation, ordinal)) {
            return Verdict::FailAfter { bytes, errno };
        }
        match self.from.get(&operation) {
            Some((from, errno)) if ordinal >= *from => Verdict::FailAfter {
                bytes: 0,
                errno: *errno,
            },
            Some(_) | None => Verdict::Pass,
        }
    }

    /// Counts an operation; its error, if it shall fail.
    pub(super) fn check(&mut self, operation: Operation) -> io::Result<()> {
        match self.judge(operation) {
            Verdict::Pass => Ok(()),
            Verdict::FailAfter { errno, .. } => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}
