//! The five codecs of Kafka behind one enum, with bounded output. Knows bytes, not batches.

use std::fmt;
use std::io::{Read, Write};
use std::str::FromStr;

/// What the records of a batch are compressed with. The ids are those of the attribute bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Codec {
    /// As they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy in the framing of xerial's Java library.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard frames (RFC 8878).
    Zstd,
}

impl Codec {
    /// All codecs, by id.
    pub const ALL: [Codec; 5] = [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ];

    /// The number in the attributes, 0 to 4.
    #[inline]
    pub const fn id(self) -> u8 {
        match self {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }

    /// The codec of this number.
    #[inline]
    pub const fn from_id(id: u8) -> Option<Codec> {
        match id {
            0 => Some(Codec::None),
            1 => Some(Codec::Gzip),
            2 => Some(Codec::Snappy),
            3 => Some(Codec::Lz4),
            4 => Some(Codec::Zstd),
            _ => None,
        }
    }

    /// Kafka's name, as in `compression.type`.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// Levels that the codec takes, as Kafka has them; `None` when it has no levels.
    pub const fn levels(self) -> Option<std::ops::RangeInclusive<i32>> {
        match self {
            Codec::None | Codec::Snappy => None,
            Codec::Gzip => Some(1..=9),
            Codec::Lz4 => Some(1..=17),
            Codec::Zstd => Some(-131_072..=22),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Codec {
    type Err = BadCompression;

    fn from_str(name: &str) -> Result<Codec, BadCompression> {
        let codec = Codec::ALL.into_iter().find(|codec| codec.name() == name);
        codec.ok_or_else(|| BadCompression::Codec {
            found: name.to_owned(),
        })
    }
}

/// A codec and its level, as a user chooses them: `none`, `lz4`, `zstd:3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Compression {
    codec: Codec,
    /// Invariant: within `codec.levels()`.
    level: Option<i32>,
}

impl Compression {
    /// No compression.
    pub const NONE: Compression = Compression {
        codec: Codec::None,
        level: None,
    };

    /// `codec` at its default level: gzip 6 (zlib's), zstd 3; LZ4 has one speed here, whatever its level.
    pub const fn of(codec: Codec) -> Compression {
        Compression { codec, level: None }
    }

    /// `codec` at `level`. For gzip -1 also stands for the default, as in Kafka.
    ///
    /// # Errors
    /// [`BadCompression::Level`] outside of [`Codec::levels`].
    pub fn new(codec: Codec, level: Option<i32>) -> Result<Compression, BadCompression> {
        let Some(found) = level else {
            return Ok(Compression::of(codec));
        };
        if codec == Codec::Gzip && found == -1 {
            return Ok(Compression::of(codec));
        }
        match codec.levels() {
            Some(levels) if levels.contains(&found) => Ok(Compression { codec, level }),
            levels => Err(BadCompression::Level {
                codec,
                found,
                levels,
            }),
        }
    }

    /// The codec.
    #[inline]
    pub const fn codec(self) -> Codec {
        self.codec
    }

    /// The level, when one was chosen.
    #[inline]
    pub const fn level(self) -> Option<i32> {
        self.level
    }
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Compression {
        Compression::of(codec)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            None => self.codec.fmt(f),
            Some(level) => write!(f, "{}:{level}", self.codec),
        }
    }
}

impl FromStr for Compression {
    type Err = BadCompression;

    fn from_str(text: &str) -> Result<Compression, BadCompression> {
        let Some((codec, level)) = text.split_once(':') else {
            return Ok(Compression::of(text.parse()?));
        };
        let codec = codec.parse()?;
        let level = level.parse().map_err(|_| BadCompression::NotANumber {
            found: level.to_owned(),
        })?;
        Compression::new(codec, Some(level))
    }
}

/// A codec or level that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCompression {
    /// No codec of this name.
    #[error("codec '{found}' is unknown, expected none, gzip, snappy, lz4 or zstd")]
    Codec {
        /// The name as given.
        found: String,
    },
    /// The level is not an integer.
    #[error("level '{found}' is not a number")]
    NotANumber {
        /// The text as given.
        found: String,
    },
    /// The codec has no such level.
    #[error("level {found} of {codec}, {}", match .levels {
        Some(levels) => format!("expected {} to {}", levels.start(), levels.end()),
        None => "which has no levels".to_owned(),
    })]
    Level {
        /// The codec.
        codec: Codec,
        /// The level as given.
        found: i32,
        /// Levels there are, if any.
        levels: Option<std::ops::RangeInclusive<i32>>,
    },
}

/// How much may come out of a compressed body. Both bounds hold, the smaller one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of output.
    pub bytes_max: usize,
    /// Bytes of output per byte of input. 64 KiB are always allowed, since tiny inputs have a header's share.
    pub ratio_max: usize,
}

impl Limits {
    /// Output that is always allowed, whatever the ratio; `bytes_max` still holds.
    pub const RATIO_FREE_BYTES: usize = 64 * 1024;

    /// Bytes that may come out of `input_bytes`.
    pub fn output_bytes_max(&self, input_bytes: usize) -> usize {
        let by_ratio = input_bytes
            .saturating_mul(self.ratio_max)
            .max(Self::RATIO_FREE_BYTES);
        self.bytes_max.min(by_ratio)
    }
}

impl Default for Limits {
    /// 256 MiB, and 2,000 to 1: zeros make 1,030 to 1 in gzip, and 250 to 1 in LZ4; only zstd can do more.
    fn default() -> Limits {
        Limits {
            bytes_max: 256 << 20,
            ratio_max: 20_000,
        }
    }
}

/// Why bytes were not compressed or decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not what the codec writes.
    #[error("corrupt {codec} data: {reason}")]
    Corrupt {
        /// The codec.
        codec: Codec,
        /// What the codec says about it.
        reason: &'static str,
    },
    /// More would come out than is allowed; what came out was thrown away.
    #[error("{codec} data of {input_bytes} bytes holds more than the limit of {bytes_max}")]
    TooLarge {
        /// The codec.
        codec: Codec,
        /// Bytes that went in.
        input_bytes: usize,
        /// Bytes that might have come out.
        bytes_max: usize,
    },
    /// The codec refused to work: no memory for its state.
    #[error("{codec} failed: {reason}")]
    Failed {
        /// The codec.
        codec: Codec,
        /// What the codec says about it.
        reason: &'static str,
    },
}

/// Compresses, and keeps the state of each codec it was used for.
#[derive(Debug, Default)]
pub struct Compressor {}

impl Compressor {
    /// Without any state yet.
    pub fn new() -> Compressor {
        Compressor::default()
    }

    /// Appends `input`, compressed, to `out`.
    ///
    /// # Errors
    /// [`Error::Failed`] when the codec gets no memory; `out` is then as it was.
    pub fn compress(
        &mut self,
        compression: &Compression,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let codec = compression.codec;
        let start = out.len();
        let done = match codec {
            Codec::None => out.write_all(input),
            Codec::Gzip => {
                let level = compression
                    .level
                    .and_then(|level| u32::try_from(level).ok())
                    .unwrap_or(6);
                let mut encoder =
                    flate2::write::GzEncoder::new(&mut *out, flate2::Compression::new(level));
                encoder.write_all(input).and_then(|()| encoder.try_finish())
            }
            Codec::Snappy => snappy(input, out),
            Codec::Lz4 => {
                let info = lz4_flex::frame::FrameInfo::new()
                    .block_size(lz4_flex::frame::BlockSize::Max64KB);
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, &mut *out);
                encoder
                    .write_all(input)
                    .and_then(|()| encoder.try_finish().map_err(Into::into))
            }
            Codec::Zstd => zstd::bulk::compress(input, compression.level.unwrap_or(3))
                .and_then(|bytes| out.write_all(&bytes)),
        };
        done.map_err(|_| {
            out.truncate(start);
            Error::Failed {
                codec,
                reason: "encoder",
            }
        })
    }
}

const XERIAL: [u8; 16] = [
    0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
];

fn snappy(input: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
    out.extend_from_slice(&XERIAL);
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(32 * 1024) {
        let bytes = encoder.compress_vec(block)?;
        let len = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&bytes);
    }
    Ok(())
}

/// Decompresses within limits, and keeps the state of each codec it was used for.
#[derive(Debug, Default)]
pub struct Decompressor {}

impl Decompressor {
    /// Without any state yet.
    pub fn new() -> Decompressor {
        Decompressor::default()
    }

    /// Appends what `input` holds to `out`.
    ///
    /// # Errors
    /// [`Error::Corrupt`], or [`Error::TooLarge`] beyond `limits`; `out` is then as it was.
    pub fn decompress(
        &mut self,
        codec: Codec,
        input: &[u8],
        limits: Limits,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let start = out.len();
        let bytes_max = limits.output_bytes_max(input.len());
        let room = bytes_max as u64 + 1;
        let read = match codec {
            Codec::None => input.take(room).read_to_end(out),
            Codec::Gzip => flate2::bufread::MultiGzDecoder::new(input)
                .take(room)
                .read_to_end(out),
            Codec::Snappy => unsnappy(input, bytes_max, out),
            Codec::Lz4 => lz4_flex::frame::FrameDecoder::new(input)
                .take(room)
                .read_to_end(out),
            Codec::Zstd => zstd::stream::read::Decoder::new(input)
                .and_then(|decoder| decoder.take(room).read_to_end(out)),
        };
        let result = match read {
            Ok(bytes) if bytes <= bytes_max => Ok(()),
            Ok(_) => Err(Error::TooLarge {
                codec,
                input_bytes: input.len(),
                bytes_max,
            }),
            Err(_) => Err(Error::Corrupt {
                codec,
                reason: "decoder",
            }),
        };
        if result.is_err() {
            out.truncate(start);
        }
        result
    }
}

fn unsnappy(input: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut decoder = snap::raw::Decoder::new();
    let mut block = |bytes: &[u8], out: &mut Vec<u8>| -> std::io::Result<bool> {
        let len = snap::raw::decompress_len(bytes)?;
        if out.len() + len > bytes_max {
            return Ok(false);
        }
        out.extend_from_slice(&decoder.decompress_vec(bytes)?);
        Ok(true)
    };
    let start = out.len();
    let Some(mut rest) = input.strip_prefix(&XERIAL) else {
        return Ok(if block(input, out)? {
            out.len() - start
        } else {
            bytes_max + 1
        });
    };
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let (bytes, after) = after
            .split_at_checked(u32::from_be_bytes(*len) as usize)
            .ok_or(std::io::ErrorKind::UnexpectedEof)?;
        if !block(bytes, out)? {
            return Ok(bytes_max + 1);
        }
        rest = after;
    }
    Ok(out.len() - start)
}
