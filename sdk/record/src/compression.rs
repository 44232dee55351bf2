//! The five codecs of Kafka behind one enum, with bounded output. Knows bytes, not batches.

mod gzip;
mod lz4;
mod sink;
mod snappy;
mod xxh32;
mod zstd;

use std::fmt;
use std::str::FromStr;

use sink::{Fault, Sink};

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
    /// Bytes of output per byte of input, once there are more than [`Limits::RATIO_FREE_BYTES`].
    pub ratio_max: usize,
}

impl Limits {
    /// Output that is allowed whatever the ratio, while `bytes_max` holds: 3 MiB of zeros are 115 bytes of zstd, and a
    /// batch of this size is no bomb.
    pub const RATIO_FREE_BYTES: usize = 16 << 20;

    /// Bytes that may come out of `input_bytes`.
    pub fn output_bytes_max(&self, input_bytes: usize) -> usize {
        let by_ratio = input_bytes
            .saturating_mul(self.ratio_max)
            .max(Self::RATIO_FREE_BYTES);
        self.bytes_max.min(by_ratio)
    }
}

impl Default for Limits {
    /// 256 MiB and 1,100 to 1. Kafka takes batches of 1 MiB unless told otherwise, and gzip makes at most 1,032 to 1.
    fn default() -> Limits {
        Limits {
            bytes_max: 256 << 20,
            ratio_max: 1100,
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

/// Compresses, and keeps the state of each codec it was used for: its memory is taken at the first batch and reused.
#[derive(Default)]
pub struct Compressor {
    gzip: gzip::Encoder,
    snappy: snappy::Encoder,
    lz4: lz4::Encoder,
    zstd: zstd::Encoder,
}

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
            Codec::None => {
                out.extend_from_slice(input);
                Ok(())
            }
            Codec::Gzip => self.gzip.compress(compression.level, input, out),
            Codec::Snappy => self.snappy.compress(input, out),
            Codec::Lz4 => self.lz4.compress(input, out),
            Codec::Zstd => self.zstd.compress(compression.level, input, out),
        };
        done.map_err(|reason| {
            out.truncate(start);
            Error::Failed { codec, reason }
        })
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// Decompresses within limits, and keeps the state of each codec it was used for.
#[derive(Default)]
pub struct Decompressor {
    gzip: gzip::Decoder,
    snappy: snappy::Decoder,
    zstd: zstd::Decoder,
}

impl Decompressor {
    /// Without any state yet.
    pub fn new() -> Decompressor {
        Decompressor::default()
    }

    /// Appends what `input` holds to `out`.
    ///
    /// Memory grows with what really comes out, and never beyond the limits: neither `out` nor the codec's own state follows
    /// a size that the input only claims.
    ///
    /// # Errors
    /// [`Error::Corrupt`], or [`Error::TooLarge`] beyond `limits`; `out` then holds what it held before.
    pub fn decompress(
        &mut self,
        codec: Codec,
        input: &[u8],
        limits: Limits,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let start = out.len();
        let mut sink = Sink::new(out, limits.output_bytes_max(input.len()));
        let done = match codec {
            Codec::None => sink.extend(input),
            Codec::Gzip => self.gzip.decompress(input, &mut sink),
            Codec::Snappy => self.snappy.decompress(input, &mut sink),
            Codec::Lz4 => lz4::decompress(input, &mut sink),
            Codec::Zstd => self.zstd.decompress(input, &mut sink),
        };
        done.map_err(|fault| {
            out.truncate(start);
            match fault {
                Fault::Full => {
                    let bytes_max = limits.output_bytes_max(input.len());
                    Error::TooLarge {
                        codec,
                        input_bytes: input.len(),
                        bytes_max,
                    }
                }
                Fault::Corrupt(reason) => Error::Corrupt { codec, reason },
            }
        })
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}
