//! `highwater produce`: the lines of standard input as records. Knows lines and keys; batching is the SDK's.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};

use highwater::{Ack, Acks, Record};
use tokio::sync::mpsc;

use crate::Result;
use crate::arguments::Produce;

/// Lines are handed over in blocks of about this many bytes.
const BLOCK_BYTES: usize = 1 << 18;

/// Acknowledgements that are kept before the oldest is waited for: bounds what a fast input can pile up.
const ACKS_WAITING_MAX: usize = 200_000;

/// Whole lines, one behind the other, and where each ends.
#[derive(Debug, Default)]
struct Block {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Produces until the input ends, then waits for every acknowledgement.
pub(crate) async fn produce(flags: Produce) -> Result<()> {
    let client = flags.broker.client()?.connect().await?;
    let acks = match flags.acks.as_str() {
        "0" => Acks::None,
        "1" => Acks::Leader,
        _ => Acks::All,
    };
    let producer = client
        .producer()
        .acks(acks)
        .idempotence(acks == Acks::All)
        .compression(flags.codec)
        .batch_bytes(flags.batch_bytes as usize)
        .build()
        .await?;
    let topic = producer.topic(&flags.topic).await?;
    let (sender, mut blocks) = mpsc::channel(8);
    // Reading standard input blocks, so it has a thread of its own; it ends with the process if we fail first.
    let reader = std::thread::spawn(move || {
        read(BufReader::with_capacity(BLOCK_BYTES, io::stdin()), &sender)
    });
    let mut waiting: VecDeque<Ack> = VecDeque::new();
    let mut sent: u64 = 0;
    while let Some(block) = blocks.recv().await {
        let mut start = 0;
        for &end in &block.ends {
            let line = block.bytes.get(start..end).unwrap_or_default();
            start = end;
            let (key, value) = split(line, flags.key_separator.as_deref());
            let mut record = Record::new().maybe_key(key).value(value);
            if let Some(partition) = flags.partition {
                record = record.partition(partition);
            }
            for (name, value) in &flags.headers {
                record = record.header(name, value);
            }
            waiting.push_back(topic.enqueue(record).await?);
            sent += 1;
        }
        while waiting.len() > ACKS_WAITING_MAX
            || waiting.front().is_some_and(|ack| ack.try_get().is_some())
        {
            if let Some(ack) = waiting.pop_front() {
                ack.await?;
            }
        }
    }
    producer.flush().await;
    let mut failed: u64 = 0;
    let mut first = None;
    for ack in waiting {
        if let Err(error) = ack.await {
            failed += 1;
            first.get_or_insert(error);
        }
    }
    reader
        .join()
        .map_err(|_| "the reader of standard input panicked")??;
    match first {
        None => Ok(()),
        Some(error) => Err(format!("{failed} of {sent} records failed, the first: {error}").into()),
    }
}

/// Reads lines without their line ends; an input that does not end in one has its last line all the same.
fn read(mut input: BufReader<impl Read>, blocks: &mpsc::Sender<Block>) -> io::Result<()> {
    loop {
        let mut block = Block::default();
        while block.bytes.len() < BLOCK_BYTES {
            if input.read_until(b'\n', &mut block.bytes)? == 0 {
                break;
            }
            if block.bytes.last() == Some(&b'\n') {
                block.bytes.pop();
            }
            block.ends.push(block.bytes.len());
            // What came is sent on when the rest of the next line is not there yet: a person may be typing.
            if !input.buffer().contains(&b'\n') {
                break;
            }
        }
        if block.ends.is_empty() || blocks.blocking_send(block).is_err() {
            return Ok(());
        }
    }
}

/// Key and value of a line.
fn split<'a>(line: &'a [u8], separator: Option<&str>) -> (Option<&'a [u8]>, &'a [u8]) {
    let Some(separator) = separator.map(str::as_bytes).filter(|it| !it.is_empty()) else {
        return (None, line);
    };
    match line
        .windows(separator.len())
        .position(|window| window == separator)
    {
        Some(place) => (
            line.get(..place),
            line.get(place + separator.len()..).unwrap_or_default(),
        ),
        None => (None, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_at_the_first_separator() {
        assert_eq!(
            split(b"k::v::w", Some("::")),
            (Some(&b"k"[..]), &b"v::w"[..])
        );
        assert_eq!(split(b"::v", Some("::")), (Some(&b""[..]), &b"v"[..]));
        assert_eq!(split(b"v", Some("::")), (None, &b"v"[..]));
        assert_eq!(split(b"a:b", None), (None, &b"a:b"[..]));
        assert_eq!(split(b"a:b", Some("")), (None, &b"a:b"[..]));
    }

    #[test]
    fn lines_are_read_with_and_without_a_last_line_end() {
        for input in [&b"one\n\nthree\n"[..], b"one\n\nthree"] {
            let (sender, mut blocks) = mpsc::channel(8);
            read(BufReader::new(input), &sender).unwrap();
            drop(sender);
            let mut lines = Vec::new();
            while let Some(block) = blocks.blocking_recv() {
                let mut start = 0;
                for end in block.ends {
                    lines.push(block.bytes[start..end].to_vec());
                    start = end;
                }
            }
            assert_eq!(lines, [&b"one"[..], b"", b"three"]);
        }
    }
}
