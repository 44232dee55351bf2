//! Opening a log, and putting it in order when it was not closed.
//!
//! What it finds is reported in [`Recovered`]; it knows nothing of producers, whose state the partition rebuilds.

use std::cell::RefCell;
use std::path::PathBuf;

use highwater_reactor::{File, OpenOptions, Reactor};
use highwater_record::Offset;
use uuid::Uuid;

use crate::checkpoint;
use crate::config::Config;
use crate::errands::Errands;
use crate::error::{Error, Fence};
use crate::graveyard::Graveyard;
use crate::leader_epochs::LeaderEpochs;
use crate::log::Log;
use crate::names::{self, Kind};
use crate::reader::{Handles, Places};
use crate::retention::RetentionClock;
use crate::scan::Recovery;
use crate::segment::{Segment, Shelf};
use crate::small_file;
use crate::surplus::Owed;
use crate::sweep::sweep;
use crate::sync::Unsynced;
use crate::uuid_text;
use crate::walk::Walk;

/// What the data directory's checkpoints say about a log that is to be opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// Everything below was durable; zero when nothing is known.
    pub recovery_point: Offset,
    /// The first offset that may be read, if delete-records moved it; zero when nothing is known.
    pub log_start: Offset,
    /// Whether the last run ended with a clean-shutdown marker. Believed only where the log bears it out: it must end at the
    /// recovery point, on a whole batch.
    pub clean: bool,
    /// The topic's id, if the caller knows it: a missing or damaged `partition.metadata` is then written again, and one of
    /// another topic is an error.
    pub topic_id: Option<Uuid>,
}

/// What opening a log found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments the log has now.
    pub segments: usize,
    /// Segments whose batches were checked one by one.
    pub segments_scanned: usize,
    /// Bytes of batches checked: what lies above the recovery point.
    pub bytes_scanned: u64,
    /// Bytes cut off: a torn tail, and what lay behind it.
    pub bytes_cut: u64,
    /// Whole segments deleted behind a cut.
    pub segments_cut: usize,
    /// Segments whose indexes were made again from the log, those scanned included.
    pub indexes_rebuilt: usize,
    /// Why the log was cut: file, position and offset.
    pub cut: Option<String>,
    /// What is damaged below the recovery point, where it had been durable: the medium changed it. It stays where it is, and
    /// whoever reads it finds out. File, position and offset of the first 16.
    pub damaged: Vec<String>,
    /// Offsets that had been durable and are no more: a cut below the recovery point.
    pub lost: Option<(Offset, Offset)>,
}

impl Log {
    /// Opens the log in `dir`, recovering it where it was not closed.
    ///
    /// After a recovery what lies above the recovery point counts as not synced: take a ticket before it is acknowledged or
    /// shown to anybody.
    ///
    /// # Errors
    /// [`Error`]: what cannot be read or written, or belongs to another topic. A damaged log is no error but is cut, and
    /// that is reported.
    pub fn open(
        reactor: &Reactor,
        fence: &Fence,
        dir: PathBuf,
        config: Config,
        opening: Opening,
    ) -> Result<(Log, Recovered), Error> {
        fence.check()?;
        let rebuilt = RefCell::default();
        let shelf = Shelf {
            reactor,
            fence,
            dir: &dir,
            config: &config,
            rebuilt: &rebuilt,
        };
        let (topic_id, metadata) = topic_id(&shelf, opening.topic_id)?;
        let segments = sweep(reactor, fence, &dir)?;
        let (known, epochs_lost) = read_epochs(&shelf, &segments)?;
        let opening = Opening {
            log_start: believed_start(&opening, &known, &segments),
            ..opening
        };
        let mut recovery = Recovery::new(shelf, opening.recovery_point, known.clone());
        let found = recovery.find_end(segments, &opening)?;
        let (mut epochs, mut report) = (recovery.epochs, recovery.report);
        let first = found
            .sealed
            .first()
            .map_or(found.active.base, |segment| segment.base);
        let start = opening.log_start.max(first);
        epochs.truncate_end(found.end);
        epochs.truncate_start(start);
        report.segments = found.sealed.len() + 1;
        let durable = found.durable;
        let mut unsynced = Unsynced::new(durable);
        let mut appended_bytes = 0;
        if !found.was_closed {
            note_all_unsynced(&shelf, &mut unsynced)?;
            unsynced.file(found.active.file.clone());
            appended_bytes = found.finish_unsynced(&shelf, &mut unsynced);
        }
        if found.end > durable.offset {
            unsynced.appended(|| reactor.now());
        }
        if let Some(file) = metadata {
            unsynced.file(file);
            unsynced.directory(&dir);
        }
        let (sealed, active, end) = (found.sealed, found.active, found.end);
        // One that the log does not bear out is still what the next recovery would be told.
        let believed_checkpoint = match report.lost {
            Some(_) => Offset::ZERO,
            None => opening.recovery_point.min(durable.offset),
        };
        let mut log = Log {
            reactor: reactor.clone(),
            fence: fence.clone(),
            topic_id,
            sealed,
            active,
            start: start.min(end),
            end,
            appended_bytes,
            epochs: known.clone(),
            unsynced,
            places: Places::default(),
            recent: Places::default(),
            handles: Handles::default(),
            graveyard: Graveyard::default(),
            rebuilt,
            clock: RetentionClock::new(reactor.now().since_start(), reactor.unix_ms()),
            is_closed: false,
            cleaned: Offset::ZERO,
            checkpointed: believed_checkpoint,
            errands: Errands::new(reactor),
            owed: Owed::default(),
            config,
            dir,
        };
        if epochs != known || epochs_lost {
            match log.write_epochs(epochs.clone()) {
                // The headers of the log say it again at the next start.
                Err(Error::Full { .. }) => log.epochs = epochs,
                written => written?,
            }
        }
        log.remove_snapshots_above(end)?;
        report_to_log(&log, &report);
        Ok((log, report))
    }
}

/// The log start that the log bears out. Checkpoints go by topic name: after a topic was deleted and made again, a crash may
/// leave the old one's rows beside the new one's log. Moving the start rewrites the first row of the leader epochs, so a start
/// beyond that is not of this log.
fn believed_start(opening: &Opening, epochs: &LeaderEpochs, segments: &[Segment]) -> Offset {
    let first = segments
        .first()
        .map_or(Offset::ZERO, |segment| segment.base);
    let moved = epochs
        .earliest()
        .map_or(first, |(_, start)| start.max(first));
    if segments.iter().all(|segment| segment.bytes == 0) && epochs.is_empty() {
        return opening.log_start;
    }
    if opening.log_start > moved {
        tracing::warn!(
            checkpoint = opening.log_start.get(),
            epochs = moved.get(),
            "a log start that the leader epochs do not know is not used"
        );
    }
    opening.log_start.min(moved)
}

/// Of a run that was not stopped cleanly nothing is known to be durable but what lies below the recovery point: not the names of
/// its files, nor that of the directory, nor the small files.
fn note_all_unsynced(shelf: &Shelf<'_>, unsynced: &mut Unsynced) -> Result<(), Error> {
    unsynced.directory(shelf.dir);
    if let Some(parent) = shelf.dir.parent() {
        unsynced.directory(parent);
    }
    for name in [
        checkpoint::file::LEADER_EPOCH,
        small_file::PARTITION_METADATA,
    ] {
        let path = shelf.dir.join(name);
        match shelf.reactor.open(&path, OpenOptions::READ_WRITE) {
            Ok(file) => unsynced.file(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::read(&path, error)),
        }
    }
    Ok(())
}

/// The topic id in `partition.metadata`, written again when it is missing and known.
fn topic_id(shelf: &Shelf<'_>, expected: Option<Uuid>) -> Result<(Uuid, Option<File>), Error> {
    let path = shelf.dir.join(small_file::PARTITION_METADATA);
    let bytes = small_file::read(shelf.reactor, &path)?;
    let found = bytes
        .as_deref()
        .map_or(Err("nothing"), small_file::parse_partition_metadata);
    match (found, expected) {
        (Ok(found), None) => Ok((found, None)),
        (Ok(found), Some(expected)) if found == expected => Ok((found, None)),
        (Ok(found), Some(expected)) => Err(Error::TopicId {
            path,
            found: uuid_text::encode(&found),
            expected: uuid_text::encode(&expected),
        }),
        (Err(_), Some(expected)) => {
            let text = small_file::partition_metadata(&expected);
            match small_file::replace(
                &shelf.reactor.file_system(),
                shelf.fence,
                &path,
                text.as_bytes(),
            ) {
                Ok(file) => Ok((expected, Some(file))),
                Err(Error::Full { .. }) => Ok((expected, None)),
                Err(error) => Err(error),
            }
        }
        (Err(found), None) => Err(Error::TopicId {
            path,
            found: found.to_owned(),
            expected: "one".to_owned(),
        }),
    }
}

/// The leader epochs, and whether their file was missing or damaged: they are then read from the headers of the log.
fn read_epochs(shelf: &Shelf<'_>, segments: &[Segment]) -> Result<(LeaderEpochs, bool), Error> {
    let path = shelf.dir.join(checkpoint::file::LEADER_EPOCH);
    let bytes = small_file::read(shelf.reactor, &path)?;
    let is_empty_log = segments.iter().all(|segment| segment.bytes == 0);
    match bytes.as_deref().map(checkpoint::parse_leader_epochs) {
        Some(Ok(rows)) if !rows.is_empty() || is_empty_log => {
            return Ok((LeaderEpochs::from_rows(rows), false));
        }
        None if is_empty_log => return Ok((LeaderEpochs::default(), false)),
        Some(Err(defect)) => {
            tracing::warn!(path = %path.display(), %defect, "reading the leader epochs from the log");
        }
        Some(Ok(_)) | None => {
            tracing::warn!(path = %path.display(), "reading the leader epochs from the log");
        }
    }
    let mut epochs = LeaderEpochs::default();
    for segment in segments {
        let path = names::path(shelf.dir, segment.base, Kind::Log);
        let file = shelf
            .reactor
            .open(&path, OpenOptions::READ)
            .map_err(|error| Error::read(&path, error))?;
        let mut walk = Walk::new(&file, 0, segment.bytes, segment.base);
        // Where it is damaged the scan that follows decides; what is below is as known as it can be.
        while let Ok(Some(placed)) = walk.next() {
            let epoch = placed.header.leader_epoch();
            if epochs.latest().is_none_or(|latest| epoch > latest) {
                epochs.assign(epoch, placed.header.base_offset());
            }
        }
    }
    Ok((epochs, true))
}

fn report_to_log(log: &Log, report: &Recovered) {
    let dir = log.dir().display();
    for damage in &report.damaged {
        tracing::error!(%dir, %damage, "the log is damaged where it had been durable");
    }
    if let Some((from, to)) = report.lost {
        tracing::error!(%dir, %from, %to, "offsets that had been durable are lost");
    }
    if let Some(cut) = &report.cut {
        tracing::warn!(
            %dir,
            bytes_cut = report.bytes_cut,
            segments_cut = report.segments_cut,
            end = log.end_offset().get(),
            %cut,
            "cut"
        );
    }
    // Logs are many: whoever opens them says in sum what was scanned.
    if report.segments_scanned > 0 {
        tracing::debug!(
            %dir,
            segments_scanned = report.segments_scanned,
            bytes_scanned = report.bytes_scanned,
            end = log.end_offset().get(),
            "recovered"
        );
    }
}
