//! Small files that are replaced whole: `partition.metadata`, `leader-epoch-checkpoint`, producer snapshots.
//!
//! Written beside and renamed, on any thread. Where it is not synced in between, the next sync ticket carries the file and its
//! directory: after a power cut the file is the old one, the new one, or empty; whoever reads it tells which.

use std::path::{Path, PathBuf};

use highwater_reactor::{File, FileSystem, OpenOptions, Reactor};
use uuid::Uuid;

use crate::error::{Error, Fence};
use crate::uuid_text;

/// Small files larger than this are not ours.
pub(crate) const BYTES_MAX: usize = 64 << 20;

/// `partition.metadata`: which topic a partition's directory belongs to.
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";

/// Replaces a file; on any failure the old one is still there.
pub(crate) fn replace(
    files: &FileSystem,
    fence: &Fence,
    path: &Path,
    bytes: &[u8],
) -> Result<File, Error> {
    let file = write_beside(files, fence, path, bytes)?;
    put_in_place(files, fence, path)?;
    Ok(file)
}

/// Writes what is to replace a file beside it.
pub(crate) fn write_beside(
    files: &FileSystem,
    fence: &Fence,
    path: &Path,
    bytes: &[u8],
) -> Result<File, Error> {
    let written = files
        .open(&temporary(path), OpenOptions::TRUNCATE)
        .and_then(|file| file.append_at(0, &[bytes]).map(|()| file));
    written.map_err(|error| {
        drop_beside(files, path);
        Error::write(fence, "write", path, error)
    })
}

/// Has what was written beside a file take its place.
pub(crate) fn put_in_place(files: &FileSystem, fence: &Fence, path: &Path) -> Result<(), Error> {
    files.rename(&temporary(path), path).map_err(|error| {
        drop_beside(files, path);
        Error::write(fence, "write", path, error)
    })
}

/// Removes what was written beside a file. What is left of it is swept when the log is opened next.
pub(crate) fn drop_beside(files: &FileSystem, path: &Path) {
    let _ = files.remove_file(&temporary(path));
}

/// Reads a file; `None` when it is not there.
pub(crate) fn read(reactor: &Reactor, path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match reactor.read_all(path, BYTES_MAX) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::read(path, error)),
    }
}

/// Removes a file that may not be there.
pub(crate) fn remove(reactor: &Reactor, fence: &Fence, path: &Path) -> Result<(), Error> {
    match reactor.remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::write(fence, "remove", path, error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// The text of `partition.metadata`; Kafka ends it without a line end.
pub(crate) fn partition_metadata(topic_id: &Uuid) -> String {
    format!("version: 0\ntopic_id: {}", uuid_text::encode(topic_id))
}

/// Reads `partition.metadata`; `Err` with what is wrong with it.
pub(crate) fn parse_partition_metadata(bytes: &[u8]) -> Result<Uuid, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "no text")?;
    let mut lines = text.lines().map(str::split_ascii_whitespace);
    let mut version = lines.next().ok_or("nothing")?;
    let sound = version.next() == Some("version:")
        && version
            .next()
            .is_some_and(|number| number.parse::<u16>().is_ok());
    if !sound {
        return Err("no version");
    }
    let mut topic_id = lines.next().ok_or("no topic id")?;
    if topic_id.next() != Some("topic_id:") {
        return Err("no topic id");
    }
    let text = topic_id.next().ok_or("no topic id")?;
    match uuid_text::parse(text) {
        Ok(id) if !id.is_nil() => Ok(id),
        Ok(_) | Err(_) => Err("no valid topic id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn partition_metadata_is_written_as_kafka_writes_it() {
        let id = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
        let text = partition_metadata(&id);
        assert_eq!(text, "version: 0\ntopic_id: EjRWeJq83vASNFZ4mrze8A");
        assert_eq!(parse_partition_metadata(text.as_bytes()), Ok(id));
    }

    #[test]
    fn partition_metadata_cut_anywhere_is_refused() {
        let text = partition_metadata(&Uuid::from_u128(7));
        for cut in 0..text.len() {
            assert!(
                parse_partition_metadata(&text.as_bytes()[..cut]).is_err(),
                "cut at {cut}"
            );
        }
        assert!(parse_partition_metadata(partition_metadata(&Uuid::nil()).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_upset_the_parser(bytes: Vec<u8>) {
            let _ = parse_partition_metadata(&bytes);
        }
    }
}
