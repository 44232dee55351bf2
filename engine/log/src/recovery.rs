//! Opening a log, and putting it in order when it was not closed.
//!
//! What it finds is reported in [`Recovered`]; it decides nothing about producers, whose state the partition rebuilds.

use highwater_record::Offset;
use uuid::Uuid;

/// What the data directory's checkpoints say about a log that is to be opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// Everything below was durable; zero when nothing is known.
    pub recovery_point: Offset,
    /// The first offset that may be read, if delete-records moved it; zero when nothing is known.
    pub log_start: Offset,
    /// Whether the last run ended with a clean-shutdown marker. Believed only where the log bears it out.
    pub clean: bool,
    /// The topic's id, if the caller knows it: a missing `partition.metadata` is then written again, and one of another
    /// topic is an error.
    pub topic_id: Option<Uuid>,
}

/// What opening a log found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments the log has now.
    pub segments: usize,
    /// Segments whose batches were checked one by one.
    pub segments_scanned: usize,
    /// Bytes of batches checked.
    pub bytes_scanned: u64,
    /// Bytes cut off: a torn tail, or what lay behind it.
    pub bytes_cut: u64,
    /// Whole segments deleted behind a cut.
    pub segments_cut: usize,
    /// Segments whose indexes were made again from the log, those scanned included.
    pub indexes_rebuilt: usize,
    /// Why the log was cut, with file, position and offset.
    pub cut: Option<String>,
    /// Batches below the recovery point whose CRC does not hold: the medium changed what had been durable. They stay
    /// where they are, and whoever reads them finds out. At most the first 16, with file, position and offset.
    pub damaged: Vec<String>,
    /// Offsets that had been durable and are no more: a cut below the recovery point.
    pub lost: Option<(Offset, Offset)>,
}
