//! The names of files and directories in a data directory, and what they say.
//!
//! Knows nothing of what is in the files. Kafka's `LogFileUtils.java` and `LocalLog` (`logDeleteDirName`,
//! `parseTopicPartitionName`) are the sources.

use std::path::{Path, PathBuf};

use highwater_record::Offset;
use uuid::Uuid;

/// File names longer than this no file system takes.
const NAME_BYTES_MAX: usize = 255;

/// What a segment's file holds, by its suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Batches back to back.
    Log,
    /// Offset to position.
    Index,
    /// Timestamp to offset.
    TimeIndex,
    /// Aborted transactions.
    TxnIndex,
    /// Producer state as of the offset in the name.
    Snapshot,
}

impl Kind {
    /// All kinds that share a segment's base offset as their name.
    pub const OF_SEGMENT: [Kind; 4] = [Kind::Log, Kind::Index, Kind::TimeIndex, Kind::TxnIndex];

    /// The suffix with its dot.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Kind::Log => ".log",
            Kind::Index => ".index",
            Kind::TimeIndex => ".timeindex",
            Kind::TxnIndex => ".txnindex",
            Kind::Snapshot => ".snapshot",
        }
    }

    fn from_suffix(suffix: &str) -> Option<Kind> {
        [
            Kind::Log,
            Kind::Index,
            Kind::TimeIndex,
            Kind::TxnIndex,
            Kind::Snapshot,
        ]
        .into_iter()
        .find(|kind| kind.suffix() == suffix)
    }
}

/// Where in its life a file is, by what follows its suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// In use.
    Live,
    /// `.deleted`: renamed away, its bytes go later.
    Deleted,
    /// `.cleaned`: a compaction's output that was not finished.
    Cleaned,
    /// `.swap`: a compaction's finished output that was not put in place.
    Swap,
    /// `.tmp`: an atomic write that was not finished.
    Temporary,
}

impl Stage {
    /// What is appended to the file's live name.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Stage::Live => "",
            Stage::Deleted => ".deleted",
            Stage::Cleaned => ".cleaned",
            Stage::Swap => ".swap",
            Stage::Temporary => ".tmp",
        }
    }
}

/// A file name that begins with an offset, taken apart: `00000000000000000042.index.deleted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentFile {
    /// The offset in the name: a segment's base, or a snapshot's end.
    pub offset: Offset,
    /// What the file holds.
    pub kind: Kind,
    /// Where in its life it is.
    pub stage: Stage,
}

impl SegmentFile {
    /// Takes a file name apart; `None` when it is not one of ours.
    #[must_use]
    pub fn parse(name: &str) -> Option<SegmentFile> {
        let (name, stage) = [
            Stage::Deleted,
            Stage::Cleaned,
            Stage::Swap,
            Stage::Temporary,
        ]
        .into_iter()
        .find_map(|stage| Some((name.strip_suffix(stage.suffix())?, stage)))
        .unwrap_or((name, Stage::Live));
        let dot = name.find('.')?;
        let (digits, suffix) = name.split_at(dot);
        if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let offset = Offset::new(digits.parse().ok()?);
        Some(SegmentFile {
            offset,
            kind: Kind::from_suffix(suffix)?,
            stage,
        })
    }

    /// The file name.
    #[must_use]
    pub fn name(&self) -> String {
        format!(
            "{:020}{}{}",
            self.offset.get(),
            self.kind.suffix(),
            self.stage.suffix()
        )
    }
}

/// The path of a live file in `dir`.
#[must_use]
pub fn path(dir: &Path, offset: Offset, kind: Kind) -> PathBuf {
    staged_path(dir, offset, kind, Stage::Live)
}

/// The path of a file in `dir` at a stage of its life.
#[must_use]
pub fn staged_path(dir: &Path, offset: Offset, kind: Kind, stage: Stage) -> PathBuf {
    dir.join(
        SegmentFile {
            offset,
            kind,
            stage,
        }
        .name(),
    )
}

/// What a directory inside the data directory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `topic-0`.
    Live,
    /// `topic-0.<id>-delete`: the topic is gone, the bytes go later.
    Delete,
    /// `topic-0.<id>-future`: a copy under way between data directories.
    Future,
    /// `topic-0.<id>-stray`: found without a topic.
    Stray,
}

/// A partition's directory name taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryName {
    /// The topic (cut short by Kafka in `-delete` and `-stray` names of more than 255 bytes).
    pub topic: String,
    /// The partition, at least 0.
    pub partition: i32,
    /// What it is for.
    pub purpose: Purpose,
}

impl DirectoryName {
    /// Takes a directory name apart; `None` when it is no partition's.
    #[must_use]
    pub fn parse(name: &str) -> Option<DirectoryName> {
        let marked = [
            ("-delete", Purpose::Delete),
            ("-future", Purpose::Future),
            ("-stray", Purpose::Stray),
        ];
        let (name, purpose) = marked
            .into_iter()
            .find_map(|(suffix, purpose)| {
                let (name, id) = name.strip_suffix(suffix)?.rsplit_once('.')?;
                (!id.is_empty()).then_some((name, purpose))
            })
            .unwrap_or((name, Purpose::Live));
        let (topic, partition) = name.rsplit_once('-')?;
        if topic.is_empty()
            || topic == "."
            || topic == ".."
            || partition.is_empty()
            || !partition.bytes().all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        Some(DirectoryName {
            topic: topic.to_owned(),
            partition: partition.parse().ok()?,
            purpose,
        })
    }
}

/// `topic-partition`, the name of a partition's directory.
#[must_use]
pub fn directory(topic: &str, partition: i32) -> String {
    format!("{topic}-{partition}")
}

/// The name that marks a partition's directory for deletion; `id` keeps several deletions of one name apart.
#[must_use]
pub fn deleted_directory(topic: &str, partition: i32, id: &Uuid) -> String {
    let tail = format!("-{partition}.{:032x}-delete", id.as_u128());
    let mut end = topic.len().min(NAME_BYTES_MAX - tail.len());
    while !topic.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{tail}", &topic[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_are_named_by_twenty_digits_of_their_offset() {
        let dir = Path::new("t-0");
        assert_eq!(
            path(dir, Offset::new(0), Kind::Log),
            dir.join("00000000000000000000.log")
        );
        assert_eq!(
            staged_path(dir, Offset::new(368_769), Kind::TimeIndex, Stage::Deleted),
            dir.join("00000000000000368769.timeindex.deleted")
        );
    }

    #[test]
    fn foreign_file_names_are_left_alone() {
        for name in [
            "leader-epoch-checkpoint",
            "partition.metadata",
            "0.log",
            "00000000000000000000.log.bak",
            "99999999999999999999.log",
            "+0000000000000000000.log",
            "00000000000000000007-0000000001.checkpoint",
        ] {
            assert_eq!(SegmentFile::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_directory_name_says_topic_partition_and_purpose() {
        let parsed =
            |name| DirectoryName::parse(name).map(|dir| (dir.topic, dir.partition, dir.purpose));
        assert_eq!(
            parsed("a-b.c-12"),
            Some(("a-b.c".to_owned(), 12, Purpose::Live))
        );
        assert_eq!(
            parsed("orders-3.8d5a3bd1d5c64e0c9d5f0a1b2c3d4e5f-delete"),
            Some(("orders".to_owned(), 3, Purpose::Delete))
        );
        assert_eq!(
            parsed("orders-3.1-future"),
            Some(("orders".to_owned(), 3, Purpose::Future))
        );
        assert_eq!(
            parsed("t-delete-0"),
            Some(("t-delete".to_owned(), 0, Purpose::Live))
        );
        for name in [
            "orders",
            "orders-",
            "-3",
            "orders-x",
            "orders--delete",
            "a-99999999999",
        ] {
            assert_eq!(parsed(name), None, "{name}");
        }
    }

    #[test]
    fn a_deleted_directory_keeps_within_a_file_name() {
        let id = Uuid::from_u128(7);
        let name = deleted_directory(&"x".repeat(249), 2_147_483_647, &id);
        assert_eq!(name.len(), 255);
        let parsed = DirectoryName::parse(&name).expect("it is a partition's");
        assert_eq!(
            (parsed.partition, parsed.purpose),
            (2_147_483_647, Purpose::Delete)
        );
    }

    proptest! {
        #[test]
        fn a_file_name_says_what_it_was_made_of(offset in 0..i64::MAX, kind in 0usize..4, stage in 0usize..5) {
            let stages = [Stage::Live, Stage::Deleted, Stage::Cleaned, Stage::Swap, Stage::Temporary];
            let file = SegmentFile { offset: Offset::new(offset), kind: Kind::OF_SEGMENT[kind], stage: stages[stage] };
            prop_assert_eq!(SegmentFile::parse(&file.name()), Some(file));
        }

        #[test]
        fn no_name_upsets_the_parsers(name in ".*") {
            let _ = SegmentFile::parse(&name);
            let _ = DirectoryName::parse(&name);
        }
    }
}
