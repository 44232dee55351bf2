//! Zstandard frames (RFC 8878) by the reference library; frames say their content size. Knows no
//! streams: a batch is there as a whole, so the decoder needs no window of its own, whatever window
//! a hostile frame asks for.

use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, zstd_sys};

use super::sink::{Fault, Sink};

const LEVEL: i32 = 3;
const MAGIC: usize = 0xfd2f_b528;
const SKIPPABLE_MAGIC: usize = 0x184d_2a50;
const BLOCK_BYTES_MAX: usize = 128 * 1024;
// Types of blocks.
const RAW: usize = 0;
const RUN: usize = 1;
const COMPRESSED: usize = 2;

#[derive(Default)]
pub(super) struct Encoder(Option<(i32, CCtx<'static>)>);

impl Encoder {
    pub(super) fn compress(
        &mut self,
        level: Option<i32>,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        let context = self.context(level.unwrap_or(LEVEL))?;
        let start = out.len();
        out.resize(start + zstd_safe::compress_bound(input.len()), 0);
        let room = out.get_mut(start..).unwrap_or_default();
        let bytes = context
            .compress2(room, input)
            .map_err(zstd_safe::get_error_name)?;
        out.truncate(start + bytes);
        Ok(())
    }

    fn context(&mut self, level: i32) -> Result<&mut CCtx<'static>, &'static str> {
        let (has, context) = match self.0.take() {
            Some(state) => self.0.insert(state),
            None => self
                .0
                .insert((0, CCtx::try_create().ok_or("no memory for a context")?)),
        };
        if *has != level {
            context
                .set_parameter(CParameter::CompressionLevel(level))
                .map_err(zstd_safe::get_error_name)?;
            *has = level;
        }
        Ok(context)
    }
}

#[derive(Default)]
pub(super) struct Decoder(Option<DCtx<'static>>);

impl Decoder {
    pub(super) fn decompress(&mut self, input: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        if input.is_empty() {
            return Err(Fault::Corrupt("no frame"));
        }
        let context = match self.0.take() {
            Some(context) => self.0.insert(context),
            None => self
                .0
                .insert(DCtx::try_create().ok_or(Fault::Corrupt("no memory for a context"))?),
        };
        let room = output_bound(input)?.min(sink.left());
        if sink.is_whole_vec() {
            sink.reserve(room);
            context.decompress(sink.vec(), input).map_err(fault)?;
        } else {
            sink.fill(room, |_, room| {
                context.decompress(room, input).map_err(fault)
            })?;
        }
        if sink.is_beyond() {
            Err(Fault::Full)
        } else {
            Ok(())
        }
    }
}

/// The most that can come out of these frames, counted block by block; what a header claims only
/// makes it less.
///
/// The layout, all little-endian (RFC 8878, 3.1.1):
///
/// ```text
///   28 b5 2f fd | descriptor | [window] | [dictionary id] | [content size] | blocks | [checksum u32]
///   block: u24 = last | type << 1 | size << 3, then `size` bytes (one byte for a run)
/// ```
fn output_bound(mut input: &[u8]) -> Result<usize, Fault> {
    let mut bound = 0usize;
    while !input.is_empty() {
        let magic = take_number(&mut input, 4)?;
        if magic & !0xf == SKIPPABLE_MAGIC {
            let bytes = take_number(&mut input, 4)?;
            take(&mut input, bytes)?;
        } else if magic == MAGIC {
            bound = bound.saturating_add(frame_bound(&mut input)?);
        } else {
            return Err(Fault::Corrupt("no frame magic"));
        }
    }
    Ok(bound)
}

fn frame_bound(input: &mut &[u8]) -> Result<usize, Fault> {
    let descriptor = take_number(input, 1)?;
    let is_single_segment = descriptor & 1 << 5 != 0;
    if !is_single_segment {
        take(input, 1)?;
    }
    take(
        input,
        [0, 1, 2, 4].get(descriptor & 3).copied().unwrap_or(0),
    )?;
    let claimed = match descriptor >> 6 {
        0 if is_single_segment => Some(take_number(input, 1)?),
        0 => None,
        1 => Some(take_number(input, 2)?.saturating_add(256)),
        2 => Some(take_number(input, 4)?),
        _ => Some(take_number(input, 8)?),
    };
    let mut bound = 0usize;
    loop {
        let block = take_number(input, 3)?;
        let size = block >> 3;
        let (taken, most) = match block >> 1 & 3 {
            RAW => (size, size),
            RUN => (1, size),
            COMPRESSED => (size, BLOCK_BYTES_MAX),
            _ => return Err(Fault::Corrupt("reserved block type")),
        };
        take(input, taken)?;
        bound = bound.saturating_add(most);
        if block & 1 != 0 {
            break;
        }
    }
    if descriptor & 1 << 2 != 0 {
        take(input, 4)?;
    }
    Ok(claimed.map_or(bound, |claimed| claimed.min(bound)))
}

fn take<'a>(input: &mut &'a [u8], bytes: usize) -> Result<&'a [u8], Fault> {
    let (taken, rest) = input
        .split_at_checked(bytes)
        .ok_or(Fault::Corrupt("frame is cut"))?;
    *input = rest;
    Ok(taken)
}

/// A little-endian number of up to eight bytes; what does not fit `usize` is as good as its
/// largest.
fn take_number(input: &mut &[u8], bytes: usize) -> Result<usize, Fault> {
    let number = take(input, bytes)?
        .iter()
        .rev()
        .fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

fn fault(code: usize) -> Fault {
    let full = (zstd_sys::ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall as usize).wrapping_neg();
    if code == full {
        Fault::Full
    } else {
        Fault::Corrupt(zstd_safe::get_error_name(code))
    }
}
