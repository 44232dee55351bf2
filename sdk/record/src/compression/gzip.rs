//! Gzip members (RFC 1952) around raw deflate. Written as one member without name or time, read as
//! any number of them.
//!
//! ```text
//!   1f 8b 08 | flags | time u32 | extra flags | system | [extra] [name 0] [comment 0] [crc16] | deflate | crc u32 | size u32
//! ```

use crc_fast::crc32_iso_hdlc;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::sink::{Fault, Sink};

const LEVEL: i32 = 6;
/// Deflate without flags or time, from an unknown system.
const MEMBER_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;
/// Spare capacity asked for at a time when decompressing.
const STEP_BYTES: usize = 16 * 1024;

#[derive(Default)]
pub(super) struct Encoder(Option<(i32, Compress)>);

impl Encoder {
    pub(super) fn compress(
        &mut self,
        level: Option<i32>,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        let deflate = self.reset(level.unwrap_or(LEVEL));
        out.extend_from_slice(&MEMBER_HEADER);
        // Stored blocks are the worst that deflate does, and they add far less than this.
        out.reserve(input.len() + input.len() / 1024 + 64);
        loop {
            let taken = usize::try_from(deflate.total_in()).unwrap_or(usize::MAX);
            let rest = input.get(taken..).unwrap_or_default();
            match deflate.compress_vec(rest, out, FlushCompress::Finish) {
                Ok(Status::StreamEnd) => break,
                Ok(Status::Ok | Status::BufError) if out.len() == out.capacity() => {
                    out.reserve(STEP_BYTES);
                }
                Ok(Status::Ok | Status::BufError) => return Err("deflate stands still"),
                Err(_) => return Err("deflate failed"),
            }
        }
        out.extend_from_slice(&crc32_iso_hdlc(input).to_le_bytes());
        out.extend_from_slice(&size_field(input).to_le_bytes());
        Ok(())
    }

    /// The state for this level, as new. Another level than last time makes a new one.
    fn reset(&mut self, level: i32) -> &mut Compress {
        if self.0.as_ref().is_none_or(|(has, _)| *has != level) {
            self.0 = None;
        }
        let (_, deflate) = self.0.get_or_insert_with(|| {
            let speed = Compression::new(u32::try_from(level).unwrap_or(6).min(9));
            (level, Compress::new(speed, false))
        });
        deflate.reset();
        deflate
    }
}

/// Length modulo 2^32.
#[expect(clippy::cast_possible_truncation, reason = "RFC 1952 says modulo 2^32")]
fn size_field(bytes: &[u8]) -> u32 {
    bytes.len() as u32
}

#[derive(Default)]
pub(super) struct Decoder(Option<Decompress>);

impl Decoder {
    pub(super) fn decompress(
        &mut self,
        mut input: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<(), Fault> {
        loop {
            input = member_body(input)?;
            let start = sink.written().len();
            input = self.inflate(input, sink)?;
            let (crc, rest) = input.split_first_chunk::<4>().ok_or(CUT)?;
            let (size, rest) = rest.split_first_chunk::<4>().ok_or(CUT)?;
            let content = sink.written().get(start..).unwrap_or_default();
            if u32::from_le_bytes(*size) != size_field(content) {
                return Err(Fault::Corrupt("size does not hold"));
            }
            if u32::from_le_bytes(*crc) != crc32_iso_hdlc(content) {
                return Err(Fault::Corrupt("crc does not hold"));
            }
            input = rest;
            if input.is_empty() {
                return Ok(());
            }
        }
    }

    /// One deflate stream off the front of `input`; returns what follows it.
    fn inflate<'i>(&mut self, input: &'i [u8], sink: &mut Sink<'_>) -> Result<&'i [u8], Fault> {
        let inflate = self.0.get_or_insert_with(|| Decompress::new(false));
        inflate.reset(false);
        sink.reserve(input.len().saturating_mul(3).max(STEP_BYTES));
        loop {
            let rest = unread(input, inflate)?;
            let produced = inflate.total_out();
            let at_bound = sink.left() == 0;
            let status = if at_bound {
                // Only the end mark may be left, which gives no byte: one byte more is too many.
                inflate.decompress(rest, &mut [0; 1], FlushDecompress::None)
            } else {
                sink.reserve(STEP_BYTES);
                inflate.decompress_vec(rest, sink.vec(), FlushDecompress::None)
            };
            let status = status.map_err(|_| Fault::Corrupt("deflate stream is broken"))?;
            if sink.is_beyond() || (at_bound && inflate.total_out() > produced) {
                return Err(Fault::Full);
            }
            match status {
                Status::StreamEnd => return unread(input, inflate),
                Status::Ok | Status::BufError if !at_bound && sink.spare() == 0 => {}
                Status::Ok | Status::BufError => return Err(CUT),
            }
        }
    }
}

/// What a stream did not take of its input.
fn unread<'i>(input: &'i [u8], inflate: &Decompress) -> Result<&'i [u8], Fault> {
    let taken = usize::try_from(inflate.total_in()).unwrap_or(usize::MAX);
    input.get(taken..).ok_or(CUT)
}

const CUT: Fault = Fault::Corrupt("member is cut");

/// Passes over the header of a member.
fn member_body(input: &[u8]) -> Result<&[u8], Fault> {
    let (&[m0, m1, method, flags, _, _, _, _, _, _], mut rest) =
        input.split_first_chunk::<10>().ok_or(CUT)?;
    if [m0, m1, method] != [0x1f, 0x8b, 8] {
        return Err(Fault::Corrupt("no member magic"));
    }
    if flags & RESERVED != 0 {
        return Err(Fault::Corrupt("reserved flags are set"));
    }
    if flags & EXTRA != 0 {
        let (length, after) = rest.split_first_chunk::<2>().ok_or(CUT)?;
        rest = after
            .get(usize::from(u16::from_le_bytes(*length))..)
            .ok_or(CUT)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|&byte| byte == 0).ok_or(CUT)?;
            rest = rest.get(end + 1..).ok_or(CUT)?;
        }
    }
    if flags & HEADER_CRC != 0 {
        rest = rest.get(2..).ok_or(CUT)?;
    }
    Ok(rest)
}
