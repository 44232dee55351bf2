//! The table of settings: every key with its default, what it means, and what other clients call it.
//!
//! Knows names and units, and how a text becomes a setting; nothing of files, of the environment, or of who asks.
//! `docs/sdk/configuration.md` is written from it.

mod client;
mod consumer;
mod elsewhere;
mod group;
mod producer;
mod security;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::properties::Properties;
use crate::error::Result;

pub(crate) use elsewhere::{IGNORED, UNBUILT};

/// Sets one property: the key as it was written, for messages, and the value in Java's terms.
pub(crate) type Set = fn(&mut Properties, &str, &str) -> Result<()>;

/// The table by what the settings are about.
pub(crate) const SECTIONS: &[Section] = &[
    Section("Client", client::KEYS),
    Section("Security", security::KEYS),
    Section("Producer", producer::KEYS),
    Section("Consumer", consumer::KEYS),
    Section("Consumer group", group::KEYS),
];

/// A heading and its keys.
pub(crate) struct Section(
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reference page"))]
    pub(crate)  &'static str,
    pub(crate) &'static [Key],
);

/// One setting.
pub(crate) struct Key {
    /// Java's name, or ours where Java has none.
    pub(crate) name: &'static str,
    /// As a value of that name; in parentheses where no value says it.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reference page"))]
    pub(crate) default: &'static str,
    /// What it is, in a sentence.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reference page"))]
    pub(crate) about: &'static str,
    pub(crate) set: Set,
    pub(crate) spellings: &'static [Spelling],
    words: &'static [(&'static str, &'static str)],
}

impl Key {
    pub(crate) const fn new(
        name: &'static str,
        default: &'static str,
        about: &'static str,
        set: Set,
    ) -> Self {
        Self {
            name,
            default,
            about,
            set,
            spellings: &[],
            words: &[],
        }
    }

    /// What other clients call it.
    const fn spelled(self, spellings: &'static [Spelling]) -> Self {
        Self { spellings, ..self }
    }

    /// What other clients call its values: theirs, and Java's.
    const fn worded(self, words: &'static [(&'static str, &'static str)]) -> Self {
        Self { words, ..self }
    }

    /// A value of the key in Java's words.
    fn in_java(&self, value: &str) -> Option<&'static str> {
        // Whoever moves code into a file leaves Go's package in front.
        let bare = value.strip_prefix("sarama.").unwrap_or(value);
        let word = self.words.iter().find(|(theirs, _)| *theirs == bare);
        word.map(|(_, java)| *java)
    }
}

/// Whose name for a setting it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Librdkafka,
    Sarama,
}

/// Another client's name for a setting, and the unit it has there.
pub(crate) struct Spelling {
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reference page"))]
    pub(crate) dialect: Dialect,
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
}

/// How a value becomes Java's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// It is the same.
    Same,
    /// KiB, where Java has bytes.
    Kib,
    /// A `time.Duration`, where Java has milliseconds: `1m30s`, or a number of nanoseconds.
    GoDuration,
}

const fn librdkafka(name: &'static str, unit: Unit) -> Spelling {
    let dialect = Dialect::Librdkafka;
    Spelling {
        dialect,
        name,
        unit,
    }
}

const fn sarama(name: &'static str, unit: Unit) -> Spelling {
    let dialect = Dialect::Sarama;
    Spelling {
        dialect,
        name,
        unit,
    }
}

impl Unit {
    fn in_java(self, value: &str) -> Option<Cow<'_, str>> {
        match self {
            Self::Same => Some(value.into()),
            Self::Kib => {
                let kib: u64 = value.parse().ok()?;
                Some(kib.checked_mul(1024)?.to_string().into())
            }
            Self::GoDuration => {
                let nanoseconds = go_duration(value)?;
                Some((nanoseconds / 1_000_000).to_string().into())
            }
        }
    }

    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Same => "a value",
            Self::Kib => "a number of KiB",
            Self::GoDuration => "a duration as Go writes it (500ms, 1m30s)",
        }
    }
}

/// Nanoseconds of a duration as Go's `time.ParseDuration` reads it, but not below zero.
fn go_duration(text: &str) -> Option<u64> {
    if let Ok(nanoseconds) = text.parse() {
        return Some(nanoseconds);
    }
    let mut rest = text;
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(digits);
        let letters = unit
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(unit.len());
        let (unit, after) = unit.split_at(letters);
        let scale: u64 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        sum = sum.checked_add(whole.parse::<u64>().ok()?.checked_mul(scale)?)?;
        let mut place = scale;
        for digit in fraction.chars() {
            place /= 10;
            sum = sum.checked_add(u64::from(digit.to_digit(10)?) * place)?;
        }
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

/// Every key.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(|section| section.1)
}

/// A key by any of its names, and the unit that name takes.
pub(crate) fn find(name: &str) -> Option<(&'static Key, Unit)> {
    all().find_map(|key| {
        if key.name == name {
            return Some((key, Unit::Same));
        }
        let spelling = key.spellings.iter().find(|s| s.name == name)?;
        Some((key, spelling.unit))
    })
}

/// `value` of `key`, written in `unit`, as Java would write it.
pub(crate) fn in_java<'v>(key: &Key, unit: Unit, value: &'v str) -> Option<Cow<'v, str>> {
    match key.in_java(value) {
        Some(java) => Some(java.into()),
        None => unit.in_java(value),
    }
}

/// Every name that is not an error, of every client.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let ours = all().flat_map(|key| {
        let others = key.spellings.iter().map(|spelling| spelling.name);
        std::iter::once(key.name).chain(others)
    });
    ours.chain(IGNORED.iter().map(|(name, _)| *name))
}

/// The name that one meant who wrote `name`.
pub(crate) fn nearest(name: &str) -> &'static str {
    let name = name.to_ascii_lowercase();
    names()
        .map(|known| {
            let distance = strsim::levenshtein(&known.to_ascii_lowercase(), &name);
            (distance, known)
        })
        .min()
        .map_or("", |(_, known)| known)
}
