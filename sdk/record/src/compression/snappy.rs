//! Snappy, written in the framing of xerial's Java library as the Java client does, read in that
//! and bare (as librdkafka and others write it).
//!
//! ```text
//!   82 'S' 'N' 'A' 'P' 'P' 'Y' 00 | version i32 = 1 | compatible i32 = 1 | { length i32 | raw snappy }...
//! ```

use super::sink::{Fault, Sink};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const STREAM_HEADER: [u8; 16] = *b"\x82SNAPPY\0\x00\x00\x00\x01\x00\x00\x00\x01";
/// What the Java library puts into one block.
const BLOCK_BYTES: usize = 32 * 1024;

#[derive(Default)]
pub(super) struct Encoder(Option<Box<snap::raw::Encoder>>);

impl Encoder {
    pub(super) fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        let encoder = self
            .0
            .get_or_insert_with(|| Box::new(snap::raw::Encoder::new()));
        out.extend_from_slice(&STREAM_HEADER);
        for block in input.chunks(BLOCK_BYTES) {
            let start = out.len();
            let body = start + 4;
            out.resize(body + snap::raw::max_compress_len(block.len()), 0);
            let room = out.get_mut(body..).unwrap_or_default();
            let bytes = encoder
                .compress(block, room)
                .map_err(|_| "block does not fit its bound")?;
            out.truncate(body + bytes);
            let length = u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
            if let Some(field) = out.get_mut(start..body) {
                field.copy_from_slice(&length);
            }
        }
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct Decoder(snap::raw::Decoder);

impl Decoder {
    pub(super) fn decompress(&mut self, input: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        if input.starts_with(&MAGIC) {
            self.stream(input, sink)
        } else {
            self.block(input, sink)
        }
    }

    fn stream(&mut self, mut input: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        while !input.is_empty() {
            // Streams may follow each other: a length that begins with the magic is the next one's
            // header.
            if input.starts_with(&MAGIC) {
                let (_, rest) = input
                    .split_at_checked(STREAM_HEADER.len())
                    .ok_or(Fault::Corrupt("stream header is cut"))?;
                input = rest;
                continue;
            }
            let (length, rest) = input
                .split_first_chunk::<4>()
                .ok_or(Fault::Corrupt("block length is cut"))?;
            let length = u32::from_be_bytes(*length) as usize;
            let (block, rest) = rest
                .split_at_checked(length)
                .ok_or(Fault::Corrupt("block is cut"))?;
            self.block(block, sink)?;
            input = rest;
        }
        Ok(())
    }

    fn block(&mut self, block: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let claimed =
            snap::raw::decompress_len(block).map_err(|_| Fault::Corrupt("block has no length"))?;
        // A copy of 64 bytes takes three: nothing real claims more than 22 times its size.
        if claimed > block.len().saturating_mul(22) {
            return Err(Fault::Corrupt("block claims more than it can hold"));
        }
        sink.fill(claimed, |_, room| {
            self.0
                .decompress(block, room)
                .map_err(|_| Fault::Corrupt("block is broken"))
        })?;
        Ok(())
    }
}
