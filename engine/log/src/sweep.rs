//! Finishing or undoing what a stopped process left half done in a log's directory.
//!
//! ```text
//!   .deleted   goes                      .tmp       goes
//!   .cleaned   goes (not finished)       .swap      takes the place of the segments it covers
//!   .index, .timeindex, .txnindex without a .log    goes
//!   .log       loses the room behind its last batch
//! ```
//!
//! The rules are those of Kafka's `LogLoader.java`, so that a directory stopped by either is taken over by the other.

use std::path::Path;

use highwater_reactor::{OpenOptions, Reactor};
use highwater_record::Offset;

use crate::checkpoint;
use crate::error::{Error, Fence};
use crate::names::{self, Kind, SegmentFile, Stage};
use crate::room;
use crate::segment::Segment;
use crate::small_file;
use crate::walk::Walk;

/// Puts the names in `dir` in order and returns the segments, by base offset, with the bytes of batches in their `.log` files.
pub(crate) fn sweep(reactor: &Reactor, fence: &Fence, dir: &Path) -> Result<Vec<Segment>, Error> {
    let remove = |file: &SegmentFile| small_file::remove(reactor, fence, &dir.join(file.name()));
    let mut files = list(reactor, dir)?;
    for name in [
        checkpoint::file::LEADER_EPOCH,
        small_file::PARTITION_METADATA,
    ] {
        small_file::remove(reactor, fence, &dir.join(format!("{name}.tmp")))?;
    }

    // A .swap at or above a .cleaned belongs to a split that was not finished.
    let at_stage = |stage| move |(file, _): &&(SegmentFile, u64)| file.stage == stage;
    let cleaned = files
        .iter()
        .filter(at_stage(Stage::Cleaned))
        .map(|(file, _)| file.offset)
        .min();
    for (file, _) in &files {
        let goes = match file.stage {
            Stage::Deleted | Stage::Temporary | Stage::Cleaned => true,
            Stage::Swap => cleaned.is_some_and(|cleaned| file.offset >= cleaned),
            Stage::Live => false,
        };
        if goes {
            remove(file)?;
        }
    }
    files.retain(|(file, _)| match file.stage {
        Stage::Live => true,
        Stage::Swap => cleaned.is_none_or(|cleaned| file.offset < cleaned),
        Stage::Deleted | Stage::Temporary | Stage::Cleaned => false,
    });

    if files.iter().any(|(file, _)| file.stage == Stage::Swap) {
        finish_swap(reactor, fence, dir, &files)?;
        files = list(reactor, dir)?;
    }

    let has_log = |offset: Offset| {
        files
            .iter()
            .any(|(file, _)| file.offset == offset && file.kind == Kind::Log)
    };
    let mut segments = Vec::new();
    for (file, len) in &files {
        match file.kind {
            Kind::Log => {
                let bytes = give_room_back(reactor, fence, dir, file, *len)?;
                segments.push(Segment::new(file.offset, bytes));
            }
            Kind::Index | Kind::TimeIndex | Kind::TxnIndex if !has_log(file.offset) => {
                remove(file)?;
            }
            Kind::Index | Kind::TimeIndex | Kind::TxnIndex | Kind::Snapshot => {}
        }
    }
    segments.sort_unstable_by_key(|segment| segment.base);
    Ok(segments)
}

/// Cuts the room off a segment that was appended to when the process stopped, or that was finished and not trimmed yet; returns
/// the bytes that are left.
fn give_room_back(
    reactor: &Reactor,
    fence: &Fence,
    dir: &Path,
    segment: &SegmentFile,
    len: u64,
) -> Result<u64, Error> {
    if !room::may_be_at(len) {
        return Ok(len);
    }
    let path = dir.join(segment.name());
    let file = reactor
        .open(&path, OpenOptions::READ_WRITE)
        .map_err(|error| Error::read(&path, error))?;
    let index = names::path(dir, segment.offset, Kind::Index);
    let bytes = room::without(reactor, &file, index, segment.offset, len)
        .map_err(|error| Error::read(&path, error))?;
    if bytes < len {
        file.set_len(bytes)
            .map_err(|error| Error::write(fence, "trim", &path, error))?;
    }
    Ok(bytes)
}

/// Removes the segments that finished compactions replace, and gives these their names.
fn finish_swap(
    reactor: &Reactor,
    fence: &Fence,
    dir: &Path,
    files: &[(SegmentFile, u64)],
) -> Result<(), Error> {
    let swaps = || files.iter().filter(|(file, _)| file.stage == Stage::Swap);
    let mut covered: Option<(Offset, Offset)> = None;
    for (file, len) in swaps().filter(|(file, _)| file.kind == Kind::Log) {
        let path = dir.join(file.name());
        let log = reactor
            .open(&path, OpenOptions::READ)
            .map_err(|error| Error::read(&path, error))?;
        let mut walk = Walk::new(&log, 0, *len, file.offset);
        // It was synced before it was called .swap; should it be damaged all the same, what can be read is what it covers.
        while let Ok(Some(_)) = walk.next() {}
        let (first, end) = covered.unwrap_or((file.offset, walk.expected()));
        covered = Some((first.min(file.offset), end.max(walk.expected())));
    }
    if let Some((first, end)) = covered {
        for (file, _) in files {
            let replaced = file.stage == Stage::Live && (first..end).contains(&file.offset);
            if replaced && file.kind != Kind::Snapshot {
                small_file::remove(reactor, fence, &dir.join(file.name()))?;
            }
        }
    }
    for (file, _) in swaps() {
        let to = names::path(dir, file.offset, file.kind);
        let from = dir.join(file.name());
        reactor
            .rename(&from, &to)
            .map_err(|error| Error::write(fence, "rename", &from, error))?;
    }
    Ok(())
}

/// The files of `dir` that are named by an offset.
fn list(reactor: &Reactor, dir: &Path) -> Result<Vec<(SegmentFile, u64)>, Error> {
    let entries = reactor.list(dir).map_err(|error| Error::read(dir, error))?;
    Ok(entries
        .iter()
        .filter(|entry| !entry.is_dir)
        .filter_map(|entry| Some((SegmentFile::parse(entry.name.to_str()?)?, entry.len)))
        .collect())
}
