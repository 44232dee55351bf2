//! What has been written and is not yet on stable media, and the tickets by which it gets there.
//!
//! It does not sync: the shell that holds a ticket does, without the log being borrowed.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use highwater_reactor::{File, Instant, OpenOptions, Reactor};
use highwater_record::Offset;
use smallvec::SmallVec;

/// What must be synced so that everything below [`SyncTicket::end`] is durable. Owns its handles: the log may be appended
/// to, and even be deleted, meanwhile.
///
/// ```ignore
/// let ticket = log.borrow_mut().sync_ticket()?;
/// let outcome = ticket.sync(&reactor).await;
/// log.borrow_mut().synced(&ticket, outcome)?;      // the first failure fences the data directory
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is durable before the ticket's files are synced and the log is told"]
pub struct SyncTicket {
    pub(crate) files: SmallVec<[File; 4]>,
    pub(crate) directories: SmallVec<[PathBuf; 2]>,
    /// Where the log ended.
    pub(crate) place: Place,
    /// Bytes appended to the log, ever, up to there.
    pub(crate) bytes: u64,
    /// What was noted up to this mark is in the ticket.
    mark: u64,
    /// How often the log had been cut.
    generation: u64,
    /// Whether the ticket holds everything there was.
    is_whole: bool,
    taken: Instant,
}

/// An offset, and the byte of a segment at which its batch begins or will begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: Offset,
    /// Base offset of the segment.
    pub(crate) segment: Offset,
    pub(crate) position: u64,
}

impl SyncTicket {
    /// The files whose data must be synced, in any order.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// The directories whose entries must be synced, after the files.
    #[must_use]
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Everything below is durable once the ticket's files and directories are.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.place.offset
    }

    /// Whether there is nothing to sync.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.directories.is_empty()
    }

    /// Syncs files, then directories.
    ///
    /// # Errors
    /// The first failure. Give it to [`crate::Log::synced`], which fences the data directory.
    pub async fn sync(&self, reactor: &Reactor) -> std::io::Result<()> {
        for file in &self.files {
            reactor.sync_data(file).await?;
        }
        for directory in &self.directories {
            reactor.sync_dir(directory).await?;
        }
        Ok(())
    }
}

/// A finished segment that is not yet durable.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The offset after its last, and where the segment after it begins.
    pub(crate) end: Place,
    /// Bytes appended to the log, ever, up to its end.
    pub(crate) bytes: u64,
    /// Its `.log` and indexes. Held open, because a failed write-back is told only to those who were there.
    pub(crate) files: Vec<File>,
    /// To be opened for the sync: of a segment that recovery found.
    pub(crate) paths: Vec<PathBuf>,
}

/// What a log has written and not yet made durable.
///
/// Invariant: `durable.offset` never moves back but when the log is cut.
#[derive(Debug)]
pub(crate) struct Unsynced {
    durable: Place,
    durable_bytes: u64,
    oldest: Option<Instant>,
    finished: VecDeque<(u64, Finished)>,
    files: Vec<(u64, File)>,
    directories: Vec<(u64, PathBuf)>,
    mark: u64,
    generation: u64,
}

/// Finished segments in one ticket, so that the descriptors it takes are bounded after a recovery of many.
const FINISHED_PER_TICKET_MAX: usize = 16;

impl Unsynced {
    /// Everything up to `durable` is on stable media.
    pub(crate) fn new(durable: Place) -> Unsynced {
        Unsynced {
            durable,
            durable_bytes: 0,
            oldest: None,
            finished: VecDeque::new(),
            files: Vec::new(),
            directories: Vec::new(),
            mark: 0,
            generation: 0,
        }
    }

    pub(crate) fn durable(&self) -> Place {
        self.durable
    }

    /// Of `bytes` appended ever, how many are not durable.
    pub(crate) fn bytes(&self, bytes: u64) -> u64 {
        bytes.saturating_sub(self.durable_bytes)
    }

    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.oldest
    }

    /// A batch was appended.
    pub(crate) fn appended(&mut self, now: impl FnOnce() -> Instant) {
        self.oldest.get_or_insert_with(now);
    }

    /// A segment was finished.
    pub(crate) fn finished(&mut self, segment: Finished) {
        self.finished.push_back((self.mark, segment));
    }

    /// A small file was written; the same file written again takes its place.
    pub(crate) fn file(&mut self, file: File) {
        self.files.retain(|(_, other)| other.path() != file.path());
        self.files.push((self.mark, file));
    }

    /// Names in a directory have changed.
    pub(crate) fn directory(&mut self, path: &Path) {
        self.directories.retain(|(_, other)| other != path);
        self.directories.push((self.mark, path.to_owned()));
    }

    /// The log was cut to `end`: tickets taken before it mean nothing any more.
    pub(crate) fn cut(&mut self, end: Place, bytes: u64) {
        self.generation += 1;
        self.finished
            .retain(|(_, segment)| segment.end.offset <= end.offset);
        if self.durable.offset >= end.offset {
            self.durable = end;
            self.durable_bytes = bytes;
        }
    }

    /// The segments that begin in a range of offsets, all of them durable, have given way to another.
    pub(crate) fn replaced(&mut self, base: Offset, end: Offset) {
        assert!(
            self.durable.offset >= end,
            "only what is durable is replaced"
        );
        // Recovery may have made their indexes again, which nobody will look at any more.
        self.finished
            .retain(|(_, segment)| segment.end.offset <= base || segment.end.offset > end);
        if (base..end).contains(&self.durable.segment) {
            assert_eq!(
                self.durable.offset, end,
                "its place is in none of them but at their end"
            );
            self.durable = Place {
                offset: end,
                segment: end,
                position: 0,
            };
        }
    }

    /// A ticket for everything, or for the oldest finished segments when there are many. `active` are the files of the active
    /// segment, which ends at `end` after `bytes`.
    pub(crate) fn ticket(
        &mut self,
        reactor: &Reactor,
        active: SmallVec<[File; 4]>,
        end: Place,
        bytes: u64,
        now: Instant,
    ) -> std::io::Result<SyncTicket> {
        let is_whole = self.finished.len() <= FINISHED_PER_TICKET_MAX;
        let mut ticket = SyncTicket {
            files: SmallVec::new(),
            directories: self
                .directories
                .iter()
                .map(|(_, path)| path.clone())
                .collect(),
            place: end,
            bytes,
            mark: self.mark,
            generation: self.generation,
            is_whole,
            taken: now,
        };
        for (_, segment) in self.finished.iter_mut().take(FINISHED_PER_TICKET_MAX) {
            while let Some(path) = segment.paths.last() {
                match reactor.open(path, OpenOptions::READ_WRITE) {
                    Ok(file) => segment.files.push(file),
                    // Deleted since it was finished, by retention perhaps: nobody will look for it.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                segment.paths.pop();
            }
            ticket.files.extend(segment.files.iter().cloned());
            if !is_whole {
                (ticket.place, ticket.bytes) = (segment.end, segment.bytes);
            }
        }
        ticket
            .files
            .extend(self.files.iter().map(|(_, file)| file.clone()));
        if is_whole {
            ticket.files.extend(active);
        }
        self.mark += 1;
        Ok(ticket)
    }

    /// A ticket's files and directories are on stable media.
    pub(crate) fn synced(&mut self, ticket: &SyncTicket, end: Offset) {
        self.files.retain(|(mark, _)| *mark > ticket.mark);
        self.directories.retain(|(mark, _)| *mark > ticket.mark);
        if ticket.generation != self.generation {
            return;
        }
        if ticket.place.offset > self.durable.offset {
            self.durable = ticket.place;
            self.durable_bytes = ticket.bytes;
        }
        while let Some((mark, segment)) = self.finished.front()
            && *mark <= ticket.mark
            && segment.end.offset <= ticket.place.offset
        {
            self.finished.pop_front();
        }
        if self.durable.offset >= end {
            self.oldest = None;
        } else if ticket.is_whole {
            self.oldest = self.oldest.max(Some(ticket.taken));
        }
    }
}
