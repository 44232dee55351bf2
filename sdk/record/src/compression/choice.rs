//! A codec and a level, by Kafka's names and numbers. Knows nothing of how they work.

use std::fmt;
use std::ops::RangeInclusive;
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
    pub const fn levels(self) -> Option<RangeInclusive<i32>> {
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

    /// `codec` at its default level: gzip 6 (zlib's), zstd 3; LZ4 has one speed here, whatever its
    /// level.
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
        levels: Option<RangeInclusive<i32>>,
    },
}
