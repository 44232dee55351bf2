//! Kafka's checkpoint files: a version line, a count line, then one row per line (`CheckpointFile.java`).
//!
//! Text in and text out. It does not know files, nor what a row's offset is used for.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use highwater_record::Offset;

/// The version all of Kafka's text checkpoints have.
const VERSION: &str = "0";

/// Names of the checkpoint files that lie at the top of a data directory.
pub mod file {
    /// Everything below is on stable media: recovery begins there.
    pub const RECOVERY_POINT: &str = "recovery-point-offset-checkpoint";
    /// The first offset that may be read; above the first segment's base after a delete-records.
    pub const LOG_START: &str = "log-start-offset-checkpoint";
    /// High watermarks.
    pub const REPLICATION: &str = "replication-offset-checkpoint";
    /// How far compaction has come.
    pub const CLEANER: &str = "cleaner-offset-checkpoint";
    /// In a partition's directory: where each leader epoch began.
    pub const LEADER_EPOCH: &str = "leader-epoch-checkpoint";
}

/// Why a checkpoint's text is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// The first line is not the one version there is.
    #[error("checkpoint version {found:?}, expected 0")]
    Version {
        /// The line found.
        found: String,
    },
    /// The second line is no count.
    #[error("checkpoint count {found:?}, expected a number")]
    Count {
        /// The line found.
        found: String,
    },
    /// More or fewer rows than the count says: the file is cut, or was edited.
    #[error("checkpoint holds {found} rows, expected {expected}")]
    Rows {
        /// Rows found.
        found: usize,
        /// Rows promised by the second line.
        expected: usize,
    },
    /// A row that does not parse.
    #[error("checkpoint row {row} is {found:?}, expected {expected}")]
    Row {
        /// The row, counted from 1.
        row: usize,
        /// The line found.
        found: String,
        /// The columns a row has.
        expected: &'static str,
    },
    /// The file is not UTF-8.
    #[error("checkpoint is not text")]
    NotText,
}

/// Offsets by topic and partition: the recovery-point, log-start, replication and cleaner checkpoints.
///
/// ```text
/// 0
/// 2
/// orders 0 4711
/// orders 1 0
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OffsetCheckpoint {
    /// One offset per partition.
    pub offsets: BTreeMap<(String, i32), Offset>,
}

impl OffsetCheckpoint {
    /// Reads the file's bytes. An empty file is an empty checkpoint, as in Kafka, which makes the file before it writes it.
    ///
    /// # Errors
    /// [`Defect`] when anything in it is not as it should be: nothing of such a file is used.
    pub fn parse(bytes: &[u8]) -> Result<OffsetCheckpoint, Defect> {
        let mut offsets = BTreeMap::new();
        for (row, line) in rows(bytes)? {
            let mut columns = line.split_ascii_whitespace();
            let parsed = (|| {
                let topic = columns.next()?.to_owned();
                let partition: i32 = columns.next()?.parse().ok()?;
                let offset: i64 = columns.next()?.parse().ok()?;
                let sound = partition >= 0 && offset >= 0 && columns.next().is_none();
                sound.then_some(((topic, partition), Offset::new(offset)))
            })();
            let (key, offset) =
                parsed.ok_or_else(|| bad_row(row, line, "topic partition offset"))?;
            offsets.insert(key, offset);
        }
        Ok(OffsetCheckpoint { offsets })
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = head(self.offsets.len());
        for ((topic, partition), offset) in &self.offsets {
            let _ = writeln!(text, "{topic} {partition} {}", offset.get());
        }
        text
    }

    /// The offset of one partition.
    #[must_use]
    pub fn get(&self, topic: &str, partition: i32) -> Option<Offset> {
        self.offsets.get(&(topic.to_owned(), partition)).copied()
    }

    /// Sets the offset of one partition.
    pub fn set(&mut self, topic: &str, partition: i32, offset: Offset) {
        self.offsets.insert((topic.to_owned(), partition), offset);
    }
}

/// The rows of `leader-epoch-checkpoint`: epoch and the first offset written in it, in the file's order.
///
/// # Errors
/// [`Defect`], as for [`OffsetCheckpoint::parse`].
pub fn parse_leader_epochs(bytes: &[u8]) -> Result<Vec<(i32, Offset)>, Defect> {
    rows(bytes)?
        .into_iter()
        .map(|(row, line)| {
            let mut columns = line.split_ascii_whitespace();
            (|| {
                let epoch: i32 = columns.next()?.parse().ok()?;
                let start: i64 = columns.next()?.parse().ok()?;
                let sound = epoch >= 0 && start >= 0 && columns.next().is_none();
                sound.then_some((epoch, Offset::new(start)))
            })()
            .ok_or_else(|| bad_row(row, line, "epoch start-offset"))
        })
        .collect()
}

/// The text of `leader-epoch-checkpoint`.
#[must_use]
pub fn leader_epochs_to_text(epochs: impl ExactSizeIterator<Item = (i32, Offset)>) -> String {
    let mut text = head(epochs.len());
    for (epoch, start) in epochs {
        let _ = writeln!(text, "{epoch} {}", start.get());
    }
    text
}

fn head(count: usize) -> String {
    format!("{VERSION}\n{count}\n")
}

/// The numbered rows below a sound head.
fn rows(bytes: &[u8]) -> Result<Vec<(usize, &str)>, Defect> {
    let text = std::str::from_utf8(bytes).map_err(|_| Defect::NotText)?;
    let mut lines = text.lines();
    let Some(version) = lines.next() else {
        return Ok(Vec::new());
    };
    if version != VERSION {
        return Err(Defect::Version {
            found: excerpt(version),
        });
    }
    let Some(count) = lines.next() else {
        return Ok(Vec::new());
    };
    let expected: usize = count.parse().map_err(|_| Defect::Count {
        found: excerpt(count),
    })?;
    let rows: Vec<_> = lines
        .enumerate()
        .map(|(row, line)| (row + 1, line))
        .collect();
    // The last row of a file that was cut may still parse: it has lost digits. Its line end tells.
    let whole = if text.ends_with('\n') {
        rows.len()
    } else {
        rows.len().saturating_sub(1)
    };
    if whole != expected || rows.len() != expected {
        return Err(Defect::Rows {
            found: whole,
            expected,
        });
    }
    Ok(rows)
}

fn bad_row(row: usize, line: &str, expected: &'static str) -> Defect {
    Defect::Row {
        row,
        found: excerpt(line),
        expected,
    }
}

/// The beginning of a line from outside, short enough for a log message.
fn excerpt(line: &str) -> String {
    line.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TWO_ROWS: &str = "0\n2\na 0 17\nb-c 3 9223372036854775807\n";

    #[test]
    fn rows_are_read_and_written_as_kafka_does() {
        let checkpoint = OffsetCheckpoint::parse(TWO_ROWS.as_bytes()).expect("it is sound");
        assert_eq!(checkpoint.get("b-c", 3), Some(Offset::new(i64::MAX)));
        assert_eq!(checkpoint.get("b-c", 4), None);
        assert_eq!(checkpoint.to_text(), TWO_ROWS);
        assert_eq!(
            OffsetCheckpoint::parse(b"").expect("Kafka makes it empty"),
            OffsetCheckpoint::default()
        );
    }

    #[test]
    fn a_checkpoint_cut_anywhere_is_refused_or_empty() {
        for cut in 0..TWO_ROWS.len() {
            let read = OffsetCheckpoint::parse(&TWO_ROWS.as_bytes()[..cut]);
            match read {
                Ok(checkpoint) => assert!(checkpoint.offsets.is_empty(), "cut at {cut}"),
                Err(Defect::Rows { expected: 2, .. } | Defect::Count { .. }) => {}
                Err(other) => panic!("cut at {cut}: {other}"),
            }
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_fact() {
        let refusal = |text: &str| {
            OffsetCheckpoint::parse(text.as_bytes())
                .expect_err("nonsense")
                .to_string()
        };
        assert_eq!(refusal("1\n0\n"), "checkpoint version \"1\", expected 0");
        assert_eq!(
            refusal("0\n-1\n"),
            "checkpoint count \"-1\", expected a number"
        );
        assert_eq!(
            refusal("0\n2\na 0 1\n"),
            "checkpoint holds 1 rows, expected 2"
        );
        assert_eq!(
            refusal("0\n1\na 0 1 2\n"),
            "checkpoint row 1 is \"a 0 1 2\", expected topic partition offset"
        );
        assert_eq!(
            refusal("0\n1\na -1 1\n"),
            "checkpoint row 1 is \"a -1 1\", expected topic partition offset"
        );
        assert_eq!(OffsetCheckpoint::parse(&[0xff, 0xfe]), Err(Defect::NotText));
    }

    #[test]
    fn leader_epochs_have_two_columns() {
        let epochs = parse_leader_epochs(b"0\n2\n0 0\n5 1200\n").expect("it is sound");
        assert_eq!(epochs, [(0, Offset::new(0)), (5, Offset::new(1200))]);
        assert_eq!(
            leader_epochs_to_text(epochs.into_iter()),
            "0\n2\n0 0\n5 1200\n"
        );
    }

    proptest! {
        #[test]
        fn a_checkpoint_comes_back_from_its_text(rows in prop::collection::btree_map(("[a-zA-Z0-9._-]{1,20}", 0..i32::MAX), 0..i64::MAX, 0..20)) {
            let offsets = rows.into_iter().map(|(key, offset)| (key, Offset::new(offset))).collect();
            let checkpoint = OffsetCheckpoint { offsets };
            prop_assert_eq!(OffsetCheckpoint::parse(checkpoint.to_text().as_bytes()), Ok(checkpoint));
        }

        #[test]
        fn no_bytes_upset_the_parsers(bytes: Vec<u8>) {
            let _ = OffsetCheckpoint::parse(&bytes);
            let _ = parse_leader_epochs(&bytes);
        }
    }
}
