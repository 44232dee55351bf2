//! Finds what the commands are pointed at: partition directories below a path, and the segments in them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use highwater_log::names::{DirectoryName, Kind, Purpose, SegmentFile, Stage};
use highwater_record::Offset;

/// A partition's directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) directory: PathBuf,
    /// Base offsets of its live segments, ascending.
    pub(crate) segments: Vec<Offset>,
}

/// The partition directories at `path`: itself, or those in it when it is a data directory. Errors when there is none.
pub(crate) fn partitions(path: &Path) -> io::Result<Vec<Partition>> {
    let segments = segments(path)?;
    if !segments.is_empty() {
        return Ok(vec![Partition {
            directory: path.to_owned(),
            segments,
        }]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let live = name
            .to_str()
            .and_then(DirectoryName::parse)
            .is_some_and(|name| name.purpose == Purpose::Live);
        if live && entry.file_type()?.is_dir() {
            found.push(Partition {
                segments: self::segments(&entry.path())?,
                directory: entry.path(),
            });
        }
    }
    if found.is_empty() {
        let sentence = format!(
            "{} holds no segment and no partition directory",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::NotFound, sentence));
    }
    found.sort_by(|a, b| a.directory.cmp(&b.directory));
    Ok(found)
}

fn segments(directory: &Path) -> io::Result<Vec<Offset>> {
    let entries = fs::read_dir(directory).map_err(|error| {
        io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
    })?;
    let mut segments = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        if let Some(SegmentFile {
            offset,
            kind: Kind::Log,
            stage: Stage::Live,
        }) = name.to_str().and_then(SegmentFile::parse)
        {
            segments.push(offset);
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_gives_its_partitions_and_a_partition_itself() {
        let data = tempfile::tempdir().unwrap();
        for name in [
            "b-0",
            "a-1",
            "a-0",
            "gone-0.0123456789abcdef0123456789abcdef-delete",
            "plain",
        ] {
            let directory = data.path().join(name);
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("00000000000000000010.log"), b"").unwrap();
            fs::write(directory.join("00000000000000000000.log"), b"").unwrap();
            fs::write(directory.join("00000000000000000005.log.deleted"), b"").unwrap();
        }
        let found = partitions(data.path()).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|it| it.directory.file_name().unwrap())
            .collect();
        assert_eq!(names, ["a-0", "a-1", "b-0"]);
        let alone = partitions(&data.path().join("a-0")).unwrap();
        assert_eq!(alone[0].segments, [Offset::new(0), Offset::new(10)]);
        assert!(partitions(&data.path().join("nowhere")).is_err());
    }
}
