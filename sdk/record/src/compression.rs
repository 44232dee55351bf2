//! The five codecs of Kafka behind one enum, with bounded output. Knows bytes, not batches.

mod choice;
mod gzip;
mod lz4;
mod sink;
mod snappy;
mod xxh32;
mod zstd;

use std::fmt;

pub use choice::{BadCompression, Codec, Compression};
use sink::{Fault, Sink};

/// How much may come out of a compressed body. Both bounds hold, the smaller one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of output.
    pub bytes_max: usize,
    /// Bytes of output per byte of input, once there are more than [`Limits::RATIO_FREE_BYTES`].
    pub ratio_max: usize,
}

impl Limits {
    /// Output that is allowed whatever the ratio, while `bytes_max` holds: 3 MiB of zeros are 115
    /// bytes of zstd, and a batch of this size is no bomb.
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
    /// 256 MiB and 1,100 to 1. Kafka takes batches of 1 MiB unless told otherwise, and gzip makes
    /// at most 1,032 to 1.
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

/// Compresses, and keeps the state of each codec it was used for: its memory is taken at the first
/// batch and reused.
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
        let codec = compression.codec();
        let start = out.len();
        let done = match codec {
            Codec::None => {
                out.extend_from_slice(input);
                Ok(())
            }
            Codec::Gzip => self.gzip.compress(compression.level(), input, out),
            Codec::Snappy => self.snappy.compress(input, out),
            Codec::Lz4 => self.lz4.compress(input, out),
            Codec::Zstd => self.zstd.compress(compression.level(), input, out),
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
    /// Memory grows with what really comes out, and never beyond the limits: neither `out` nor the
    /// codec's own state follows a size that the input only claims.
    ///
    /// # Errors
    /// [`Error::Corrupt`], or [`Error::TooLarge`] beyond `limits`; `out` then holds what it held
    /// before.
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
