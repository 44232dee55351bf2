//! Batches for tests, as clients would send them, and records as clients would read them. The tests in `tests/` use it too.
#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

use highwater_record::{
    Batch, BatchBuilder, Compression, Compressor, HeaderField, Producer, Record,
};

/// A producer's identity in a batch: id, epoch, first sequence.
pub type From = (i64, i16, i32);

/// What a test wants of a batch; the rest is as a plain client has it.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub values: Vec<Vec<u8>>,
    pub timestamps_ms: Vec<i64>,
    pub from: Option<From>,
    pub keyed: bool,
    pub transactional: bool,
    pub control: bool,
    pub log_append_time: bool,
    pub compression: Compression,
}

/// `records` records with these values' size and one timestamp.
pub fn records(records: usize, bytes: usize, timestamp_ms: i64) -> Wanted {
    Wanted {
        values: (0..records)
            .map(|index| vec![b'a' + u8::try_from(index % 26).expect("a letter"); bytes])
            .collect(),
        timestamps_ms: vec![timestamp_ms; records],
        from: None,
        keyed: true,
        transactional: false,
        control: false,
        log_append_time: false,
        compression: Compression::from(highwater_record::Codec::None),
    }
}

impl Wanted {
    pub fn from(mut self, producer_id: i64, epoch: i16, sequence: i32) -> Wanted {
        self.from = Some((producer_id, epoch, sequence));
        self
    }

    pub fn packed(mut self, codec: highwater_record::Codec) -> Wanted {
        self.compression = Compression::from(codec);
        self
    }

    /// The batch's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for (index, (value, timestamp_ms)) in
            self.values.iter().zip(&self.timestamps_ms).enumerate()
        {
            let key = index.to_string();
            let key = self.keyed.then_some(key.as_bytes());
            let headers = [
                HeaderField::new("trace", Some(b"x")),
                HeaderField::new("none", None),
            ];
            builder
                .append(*timestamp_ms, key, Some(value), &headers)
                .expect("a small batch");
        }
        if let Some((id, epoch, base_sequence)) = self.from {
            builder.set_producer(Producer {
                id,
                epoch,
                base_sequence,
            });
        }
        builder.set_transactional(self.transactional);
        builder.set_control(self.control);
        if self.log_append_time {
            builder.set_log_append_time(self.timestamps_ms[0]);
        }
        let mut bytes = Vec::new();
        builder
            .finish(&mut Compressor::new(), &self.compression, &mut bytes)
            .expect("a batch");
        bytes
    }
}

/// All records of the batches in `bytes`, as (offset, timestamp, key, value, number of headers).
pub type Row = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, usize);

/// Reads `bytes` as a consumer would.
pub fn rows(bytes: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    let (mut plain, mut decompressor) = (Vec::new(), highwater_record::Decompressor::new());
    for batch in highwater_record::batches(bytes) {
        let batch: Batch<'_> = batch.expect("a whole batch");
        let records = highwater_record::Records::of(
            &batch,
            &mut plain,
            &mut decompressor,
            highwater_record::Limits::default(),
        );
        for record in records.expect("decompresses") {
            let record: Record<'_> = record.expect("a record");
            rows.push((
                record.offset.get(),
                record.timestamp_ms,
                record.key.map(<[u8]>::to_vec),
                record.value.map(<[u8]>::to_vec),
                record.headers().count(),
            ));
        }
    }
    rows
}
