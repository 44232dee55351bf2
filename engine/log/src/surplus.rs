//! What a finished segment has and does not use, its room and the space allocated ahead, until it has been given back.
//!
//! That is done away from the shard, because a file system that discards what it frees waits for the device. What is called
//! off there, by a cut, is remembered and done again. It does not know when a segment is finished.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use highwater_reactor::File;
use highwater_record::Offset;

use crate::errands::lock;
use crate::error::{Error, Fence};
use crate::log::Log;
use crate::segment::Segment;

/// What a finished segment has and does not use. Owns its handle, so that it can be given back on any thread.
#[derive(Debug)]
pub(crate) struct Surplus {
    pub(crate) base: Offset,
    pub(crate) file: File,
    /// How much of the file is used. It must not grow any more.
    pub(crate) bytes: u64,
    pub(crate) fence: Fence,
}

impl Surplus {
    /// Gives it back.
    pub(crate) fn give_back(&self) -> Result<(), Error> {
        let trimmed = self.file.set_len(self.bytes);
        trimmed.map_err(|error| Error::write(&self.fence, "trim", self.file.path(), error))
    }
}

/// The base offsets of the segments whose surplus was not given back yet: no more than there are segments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owed(Arc<Mutex<BTreeSet<Offset>>>);

impl Owed {
    fn note(&self, base: Offset) {
        lock(&self.0).insert(base);
    }

    fn forget(&self, base: Offset) {
        lock(&self.0).remove(&base);
    }

    fn bases(&self) -> BTreeSet<Offset> {
        lock(&self.0).clone()
    }

    /// Gives back what is owed. What cannot be is owed still.
    fn settle(&self, surplus: &Surplus) {
        match surplus.give_back() {
            Ok(()) => self.forget(surplus.base),
            Err(error) => tracing::warn!(%error, "space allocated ahead was not given back"),
        }
    }
}

impl Log {
    /// Has a surplus given back.
    pub(crate) fn give_back(&self, surplus: Surplus) {
        self.owed.note(surplus.base);
        if self.errands.are_many() {
            return self.owed.settle(&surplus);
        }
        let owed = self.owed.clone();
        drop(self.errands.asking().run(move |_| owed.settle(&surplus)));
    }

    /// Has given back what a line kept from it.
    pub(crate) fn give_back_owed(&self) {
        for base in self.owed.bases() {
            match self.surplus_of(base) {
                Some(Ok(surplus)) => self.give_back(surplus),
                Some(Err(error)) => {
                    tracing::warn!(%error, "space allocated ahead is given back later");
                }
                None => self.owed.forget(base),
            }
        }
    }

    /// Gives back at once what is owed. No errand may be under way.
    pub(crate) fn settle_owed(&self) -> Result<(), Error> {
        for base in self.owed.bases() {
            if let Some(surplus) = self.surplus_of(base) {
                surplus?.give_back()?;
            }
            self.owed.forget(base);
        }
        Ok(())
    }

    /// What the finished segment of this base has too much; `None` when there is none.
    fn surplus_of(&self, base: Offset) -> Option<Result<Surplus, Error>> {
        let is_it = |segment: &&Segment| segment.base == base;
        let segment = self.sealed.iter().find(is_it)?;
        let file = segment.open_log(&self.reactor, &self.dir);
        Some(file.map(|file| Surplus {
            base,
            file,
            bytes: segment.bytes,
            fence: self.fence.clone(),
        }))
    }
}
