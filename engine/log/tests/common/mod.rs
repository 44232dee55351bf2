//! What the tests of the log share: batches, and worlds to put logs in.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

pub mod bed;

use std::future::Future;
use std::path::PathBuf;
use std::rc::Rc;

use highwater_log::{Appended, Config, Error, Log, Opening, Ranges};
use highwater_reactor::{Options, Reactor};
use highwater_record::{
    Batch, BatchBuilder, Compression, Compressor, LeaderEpoch, Offset, Records, batches,
};
use uuid::Uuid;

pub const TOPIC_ID: Uuid = Uuid::from_u128(0x4869_6768_7761_7465_7200_0000_0000_0001);

/// A batch of `records` records, each with `value` as its value, the first at `timestamp_ms` and each later one 1 ms more.
pub fn batch_with(timestamp_ms: i64, records: u32, value: &[u8], compression: &str) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for at in 0..records {
        let timestamp = if timestamp_ms < 0 {
            -1
        } else {
            timestamp_ms + i64::from(at)
        };
        builder
            .append(timestamp, None, Some(value), &[])
            .expect("it is small");
    }
    let mut out = Vec::new();
    let compression: Compression = compression.parse().expect("a known codec");
    builder
        .finish(&mut Compressor::new(), &compression, &mut out)
        .expect("it compresses");
    out
}

/// A batch of one record of about `bytes`, which can be told from others by `mark`.
pub fn batch(mark: u64, timestamp_ms: i64, bytes: usize) -> Vec<u8> {
    let mut value = mark.to_be_bytes().to_vec();
    value.resize(bytes.max(8), (mark % 251) as u8);
    batch_with(timestamp_ms, 1, &value, "none")
}

/// Appends a client's batch at the end of the log.
pub fn append(log: &mut Log, bytes: &[u8]) -> Result<Appended, Error> {
    append_in(log, bytes, 0)
}

/// Appends a client's batch at the end of the log, in a leader epoch.
pub fn append_in(log: &mut Log, bytes: &[u8], epoch: i32) -> Result<Appended, Error> {
    let batch = Batch::check(bytes).expect("a sound batch");
    let stamped = batch.stamp(log.end_offset(), LeaderEpoch::new(epoch));
    log.append(1_000, &stamped)
}

/// The bytes of what a read found.
pub fn bytes_of(ranges: &Ranges) -> Vec<u8> {
    let mut bytes = Vec::new();
    for range in &ranges.ranges {
        let mut part = vec![0; range.len as usize];
        range
            .file
            .read_exact_at(range.position, &mut part)
            .expect("a range can be read");
        bytes.extend(part);
    }
    assert_eq!(bytes.len() as u64, ranges.bytes);
    bytes
}

/// Offset and value of every record between two offsets, read as a consumer would, `bytes_max` at a time.
pub fn records(log: &Log, from: Offset, upto: Offset, bytes_max: u32) -> Vec<(i64, Vec<u8>)> {
    let mut found = Vec::new();
    let mut next = from;
    while next < upto {
        let ranges = log
            .read(next, upto, bytes_max, true)
            .expect("it can be read");
        assert!(ranges.bytes > 0, "at least one batch is given at {next}");
        let bytes = bytes_of(&ranges);
        let mut end = next;
        for batch in batches(&bytes) {
            let batch = batch.expect("whole, sound batches");
            end = batch.header().next_offset();
            let mut scratch = Vec::new();
            let mut decompressor = highwater_record::Decompressor::new();
            let limits = highwater_record::Limits::default();
            let records = Records::of(&batch, &mut scratch, &mut decompressor, limits);
            for record in records.expect("it decompresses") {
                let record = record.expect("a sound record");
                found.push((
                    record.offset.get(),
                    record.value.unwrap_or_default().to_vec(),
                ));
            }
        }
        assert_eq!(ranges.next, end, "a read says where the next one goes on");
        next = end;
    }
    found
}

/// Syncs what there is.
pub async fn sync(reactor: &Reactor, log: &mut Log) -> Result<(), Error> {
    while log.durable_offset() < log.end_offset() {
        let ticket = log.sync_ticket()?;
        let outcome = ticket.sync(reactor).await;
        log.synced(&ticket, outcome)?;
    }
    Ok(())
}

/// Closes a log and syncs it; returns its recovery point.
pub async fn close(reactor: &Reactor, mut log: Log) -> Offset {
    while {
        let ticket = log.close().expect("it closes");
        let outcome = ticket.sync(reactor).await;
        log.synced(&ticket, outcome).expect("it syncs");
        log.durable_offset() < log.end_offset()
    } {}
    log.end_offset()
}

/// After a crash: what the recovery point was is all that is known.
pub fn unclean(recovery_point: Offset) -> Opening {
    Opening {
        recovery_point,
        log_start: Offset::ZERO,
        clean: false,
        topic_id: None,
    }
}

/// After a clean stop at `end`.
pub fn clean(end: Offset) -> Opening {
    Opening {
        clean: true,
        ..unclean(end)
    }
}

/// Small segments, so that little data makes many.
pub fn small() -> Config {
    Config {
        segment_bytes: 2_000,
        index_interval_bytes: 300,
        ..Config::default()
    }
}

/// Runs a test on a real disk, in a directory of its own.
pub fn on_disk<F, Fut>(test: F)
where
    F: Fn(Reactor, PathBuf) -> Fut + Send + Clone + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().to_owned();
    let options = Options {
        shards: 1,
        pin: false,
        ..Options::default()
    };
    let running = highwater_reactor::run(options, move |reactor| test(reactor, path.clone()));
    running
        .expect("a shard starts")
        .join()
        .expect("the test holds");
}

/// For tests that append from several places.
pub type Shared<T> = Rc<std::cell::RefCell<T>>;
