//! `highwater log dump`: the batches of segments, and the records in them, one line each.

use std::io::Write;
use std::path::{Path, PathBuf};

use highwater_log::names::{self, Kind};
use highwater_record::{Batch, Decompressor, Header, Limits, Record, Records, TimestampType};
use serde::Serialize;

use super::segment::{Fault, Segment};
use super::walk;
use crate::Result;
use crate::output;

/// What one batch may become when it is decompressed: a broken one must not take the memory of the machine.
const PLAIN_BYTES_MAX: usize = 1 << 30;

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Segment { file: &'a Path, bytes: u64 },
    Batch(BatchLine),
    Record(RecordLine),
    Fault { position: u64, fault: String },
}

#[derive(Debug, Serialize)]
struct BatchLine {
    base_offset: i64,
    last_offset: i64,
    count: i32,
    position: u64,
    bytes: usize,
    codec: String,
    timestamp_type: &'static str,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
    leader_epoch: i32,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    transactional: bool,
    control: bool,
    crc: u32,
}

#[derive(Debug, Serialize)]
struct RecordLine {
    offset: i64,
    timestamp_ms: i64,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

/// Dumps all that `paths` name.
pub(super) fn dump(paths: &[PathBuf], records: bool, json: bool) -> Result<()> {
    let mut out = output::stdout();
    let mut faults = 0;
    for path in paths {
        if path.is_dir() {
            for partition in walk::partitions(path)? {
                for base in partition.segments {
                    let file = names::path(&partition.directory, base, Kind::Log);
                    faults += segment(&mut out, &file, records, json)?;
                }
            }
        } else {
            faults += segment(&mut out, path, records, json)?;
        }
    }
    out.flush()?;
    if faults == 0 {
        Ok(())
    } else {
        Err(format!("{faults} places could not be read").into())
    }
}

/// Dumps one file; how many faults it had.
fn segment(out: &mut impl Write, file: &Path, records: bool, json: bool) -> Result<u32> {
    let mut segment =
        Segment::open(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    show(
        out,
        json,
        &Line::Segment {
            file,
            bytes: segment.length(),
        },
    )?;
    let (mut decompressor, mut scratch) = (Decompressor::new(), Vec::new());
    let mut faults = 0;
    loop {
        let position = segment.position();
        match segment.next() {
            Ok(None) => return Ok(faults),
            Ok(Some(batch)) => {
                show(out, json, &Line::Batch(described(batch.header(), position)))?;
                if records
                    && let Err(fault) =
                        dump_records(out, &batch, json, &mut decompressor, &mut scratch)?
                {
                    faults += 1;
                    show(out, json, &Line::Fault { position, fault })?;
                }
            }
            Err(fault) => {
                faults += u32::from(!matches!(fault, Fault::Zeros(_)));
                show(
                    out,
                    json,
                    &Line::Fault {
                        position,
                        fault: fault.to_string(),
                    },
                )?;
                return Ok(faults);
            }
        }
    }
}

/// The outer error is of the output, the inner one of the batch.
fn dump_records(
    out: &mut impl Write,
    batch: &Batch<'_>,
    json: bool,
    decompressor: &mut Decompressor,
    scratch: &mut Vec<u8>,
) -> Result<std::result::Result<(), String>> {
    let records = match Records::of(batch, scratch, decompressor, limits()) {
        Ok(records) => records,
        Err(error) => return Ok(Err(error.to_string())),
    };
    for record in records {
        match record {
            Ok(record) => show(out, json, &Line::Record(shown(&record)))?,
            Err(defect) => return Ok(Err(defect.to_string())),
        }
    }
    Ok(Ok(()))
}

/// Bounds for the tools: generous, but bounds.
pub(super) fn limits() -> Limits {
    Limits {
        bytes_max: PLAIN_BYTES_MAX,
        ratio_max: usize::MAX,
    }
}

fn described(header: &Header, position: u64) -> BatchLine {
    let attributes = header.attributes();
    BatchLine {
        base_offset: header.base_offset().get(),
        last_offset: header.last_offset().get(),
        count: header.record_count(),
        position,
        bytes: header.batch_bytes(),
        codec: attributes
            .codec()
            .map_or_else(|defect| defect.to_string(), |codec| codec.to_string()),
        timestamp_type: match attributes.timestamp_type() {
            TimestampType::Create => "CreateTime",
            TimestampType::LogAppend => "LogAppendTime",
        },
        base_timestamp_ms: header.base_timestamp(),
        max_timestamp_ms: header.max_timestamp(),
        leader_epoch: header.leader_epoch().get(),
        producer_id: header.producer_id(),
        producer_epoch: header.producer_epoch(),
        base_sequence: header.base_sequence(),
        transactional: attributes.is_transactional(),
        control: attributes.is_control(),
        crc: header.crc(),
    }
}

fn shown(record: &Record<'_>) -> RecordLine {
    RecordLine {
        offset: record.offset.get(),
        timestamp_ms: record.timestamp_ms,
        key: record.key.map(output::text),
        value: record.value.map(output::text),
        headers: record
            .headers()
            .map(|header| (output::text(header.key), header.value.map(output::text)))
            .collect(),
    }
}

fn show(out: &mut impl Write, json: bool, line: &Line<'_>) -> Result<()> {
    if json {
        return Ok(output::json_line(out, line)?);
    }
    match line {
        Line::Segment { file, bytes } => writeln!(out, "{} ({bytes} bytes)", file.display())?,
        Line::Batch(it) => {
            write!(
                out,
                "batch {}..{} count {} position {} bytes {} codec {} {} {}..{} epoch {} crc {:#010x}",
                it.base_offset,
                it.last_offset,
                it.count,
                it.position,
                it.bytes,
                it.codec,
                it.timestamp_type,
                it.base_timestamp_ms,
                it.max_timestamp_ms,
                it.leader_epoch,
                it.crc,
            )?;
            if it.producer_id >= 0 {
                write!(
                    out,
                    " producer {} epoch {} sequence {}",
                    it.producer_id, it.producer_epoch, it.base_sequence
                )?;
            }
            let flags = [
                (it.transactional, " transactional"),
                (it.control, " control"),
            ];
            for (_, word) in flags.iter().filter(|(set, _)| *set) {
                out.write_all(word.as_bytes())?;
            }
            writeln!(out)?;
        }
        Line::Record(it) => {
            write!(out, "  {} at {}", it.offset, it.timestamp_ms)?;
            if let Some(key) = &it.key {
                write!(out, " key {key:?}")?;
            }
            match &it.value {
                Some(value) => write!(out, " value {value:?}")?,
                None => write!(out, " no value")?,
            }
            for (name, value) in &it.headers {
                write!(out, " {name}={}", value.as_deref().unwrap_or("NULL"))?;
            }
            writeln!(out)?;
        }
        Line::Fault { position, fault } => writeln!(out, "at position {position}: {fault}")?,
    }
    Ok(())
}
