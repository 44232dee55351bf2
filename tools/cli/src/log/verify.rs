//! `highwater log verify`: every batch, record and index entry below a directory, checked. Knows what must hold, and mends
//! nothing.

use std::io::Write;
use std::path::{Path, PathBuf};

use highwater_log::index::{self, OffsetEntry};
use highwater_log::names::{self, Kind};
use highwater_log::time_index::{self, TimeEntry};
use highwater_record::{Decompressor, Offset, Records};
use serde::Serialize;
use zerocopy::FromBytes;

use super::dump::limits;
use super::segment::{Fault, Segment};
use super::walk::{self, Partition};
use crate::Result;
use crate::output;

/// What was looked at and what was found.
#[derive(Debug, Default, Serialize)]
struct Findings {
    partitions: u64,
    segments: u64,
    batches: u64,
    records: u64,
    bytes: u64,
    index_entries: u64,
    /// What was allocated ahead of a log's end and is not written yet.
    bytes_ahead: u64,
    problems: Vec<Problem>,
}

#[derive(Debug, Serialize)]
struct Problem {
    file: PathBuf,
    /// Where in the file.
    position: Option<u64>,
    what: String,
}

impl Findings {
    fn problem(&mut self, file: &Path, position: Option<u64>, what: impl Into<String>) {
        self.problems.push(Problem {
            file: file.to_owned(),
            position,
            what: what.into(),
        });
    }
}

/// Where the batches of one segment begin, by their last offset, and the greatest timestamp up to each.
type Places = Vec<Place>;

#[derive(Debug, Clone, Copy)]
struct Place {
    last: Offset,
    position: u64,
    timestamp_max: i64,
}

/// Verifies all that `paths` name. An error, and so status 1, when a problem was found.
pub(super) fn verify(paths: &[PathBuf], json: bool) -> Result<()> {
    let mut findings = Findings::default();
    for path in paths {
        for partition in walk::partitions(path)? {
            verify_partition(&partition, &mut findings)?;
        }
    }
    let mut out = output::stdout();
    if json {
        output::json_line(&mut out, &findings)?;
    } else {
        for problem in &findings.problems {
            let place = problem
                .position
                .map_or(String::new(), |it| format!(" at position {it}"));
            writeln!(out, "{}{place}: {}", problem.file.display(), problem.what)?;
        }
        writeln!(
            out,
            "{} partitions, {} segments, {} batches, {} records, {} bytes, {} index entries checked",
            findings.partitions,
            findings.segments,
            findings.batches,
            findings.records,
            findings.bytes,
            findings.index_entries,
        )?;
        if findings.bytes_ahead > 0 {
            writeln!(
                out,
                "{} bytes allocated ahead: the broker runs, or did not stop cleanly",
                findings.bytes_ahead
            )?;
        }
    }
    out.flush()?;
    match findings.problems.len() {
        0 => Ok(()),
        problems => Err(format!("{problems} problems found").into()),
    }
}

fn verify_partition(partition: &Partition, findings: &mut Findings) -> Result<()> {
    findings.partitions += 1;
    let mut next: Option<Offset> = None;
    for &base in &partition.segments {
        let file = names::path(&partition.directory, base, Kind::Log);
        if let Some(next) = next.filter(|next| base < *next) {
            findings.problem(
                &file,
                None,
                format!("begins at offset {base}, but the segment before it ends at {next}"),
            );
        }
        let (places, end) = verify_segment(&file, base, findings)?;
        verify_index(
            &names::path(&partition.directory, base, Kind::Index),
            base,
            &places,
            findings,
        )?;
        verify_time_index(
            &names::path(&partition.directory, base, Kind::TimeIndex),
            base,
            &places,
            findings,
        )?;
        next = Some(end);
    }
    Ok(())
}

/// Checks the batches of a segment and the records in them. The places of its batches, and the offset after the last.
fn verify_segment(file: &Path, base: Offset, findings: &mut Findings) -> Result<(Places, Offset)> {
    findings.segments += 1;
    let mut segment =
        Segment::open(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let mut places = Places::new();
    let (mut decompressor, mut scratch) = (Decompressor::new(), Vec::new());
    let mut next = base;
    let mut timestamp_max = i64::MIN;
    loop {
        let position = segment.position();
        let batch = match segment.next() {
            Ok(Some(batch)) => batch,
            Ok(None) => return Ok((places, next)),
            Err(Fault::Zeros(bytes)) => {
                findings.bytes_ahead += bytes;
                return Ok((places, next));
            }
            Err(fault) => {
                findings.problem(
                    file,
                    Some(position),
                    format!("offset {next} or later: {fault}"),
                );
                return Ok((places, next));
            }
        };
        let header = batch.header();
        findings.batches += 1;
        findings.bytes += batch.len() as u64;
        if header.base_offset() < next {
            findings.problem(
                file,
                Some(position),
                format!(
                    "a batch begins at offset {}, expected {next} or later",
                    header.base_offset()
                ),
            );
        }
        match Records::of(&batch, &mut scratch, &mut decompressor, limits()) {
            Err(error) => findings.problem(
                file,
                Some(position),
                format!("offset {}: {error}", header.base_offset()),
            ),
            Ok(records) => {
                for record in records {
                    match record {
                        Ok(_) => findings.records += 1,
                        Err(defect) => {
                            let what = format!("offset {}: {defect}", header.base_offset());
                            findings.problem(file, Some(position), what);
                            break;
                        }
                    }
                }
            }
        }
        next = header.next_offset().max(next);
        timestamp_max = timestamp_max.max(header.max_timestamp());
        places.push(Place {
            last: header.last_offset(),
            position,
            timestamp_max,
        });
    }
}

/// The whole entries of an index file; none when there is no file, which the broker makes anew.
fn entries(file: &Path, entry_bytes: usize, findings: &mut Findings) -> Result<Vec<u8>> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("cannot read {}: {error}", file.display()).into()),
    };
    if bytes.len() % entry_bytes != 0 {
        findings.problem(
            file,
            None,
            format!(
                "{} bytes are not whole entries of {entry_bytes}",
                bytes.len()
            ),
        );
    }
    Ok(bytes)
}

fn verify_index(file: &Path, base: Offset, places: &Places, findings: &mut Findings) -> Result<()> {
    let bytes = entries(file, index::ENTRY_BYTES, findings)?;
    for (number, chunk) in (0..).zip(bytes.chunks_exact(index::ENTRY_BYTES)) {
        // Kafka allocates the file ahead: entries of zeros behind the last one are none.
        if number > 0 && chunk.iter().all(|byte| *byte == 0) {
            break;
        }
        let Ok(entry) = OffsetEntry::read_from_bytes(chunk) else {
            continue;
        };
        findings.index_entries += 1;
        let last = entry.last_offset(base);
        let found = places.binary_search_by_key(&last, |place| place.last);
        let position = found
            .ok()
            .and_then(|place| places.get(place))
            .map(|place| place.position);
        if position != Some(entry.position()) {
            let what = match position {
                Some(position) => format!(
                    "offset {last} is said to be in the batch at {}, and is at {position}",
                    entry.position()
                ),
                None => format!("offset {last} is said to end a batch, and none ends there"),
            };
            findings.problem(file, Some(number * index::ENTRY_BYTES as u64), what);
        }
    }
    Ok(())
}

fn verify_time_index(
    file: &Path,
    base: Offset,
    places: &Places,
    findings: &mut Findings,
) -> Result<()> {
    let bytes = entries(file, time_index::ENTRY_BYTES, findings)?;
    let mut before = i64::MIN;
    for (number, chunk) in (0..).zip(bytes.chunks_exact(time_index::ENTRY_BYTES)) {
        if number > 0 && chunk.iter().all(|byte| *byte == 0) {
            break;
        }
        let Ok(entry) = TimeEntry::read_from_bytes(chunk) else {
            continue;
        };
        findings.index_entries += 1;
        let value = entry.value(base);
        let at = Some(number * time_index::ENTRY_BYTES as u64);
        if value.timestamp_ms <= before {
            let what = format!(
                "timestamp {} follows {before}: they must rise",
                value.timestamp_ms
            );
            findings.problem(file, at, what);
        }
        before = value.timestamp_ms;
        let place = places.partition_point(|place| place.last < value.offset);
        let known = places.get(place).map(|place| place.timestamp_max);
        if !places.is_empty() && known != Some(value.timestamp_ms) {
            let what = format!(
                "timestamp {} is said to be the greatest up to offset {}, which is {}",
                value.timestamp_ms,
                value.offset,
                known.map_or("not there".to_owned(), |it| it.to_string()),
            );
            findings.problem(file, at, what);
        }
    }
    Ok(())
}
