//! Kafka's text form of a UUID: base64url of its sixteen big-endian bytes, without padding, always 22 characters.
//!
//! It does not know what a UUID names; topics, clusters and directories all write their ids so (`Uuid.java`).

use uuid::Uuid;

/// Characters of an encoded UUID.
pub const TEXT_BYTES: usize = 22;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Why a text is no UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text has another length than 22 (or 24 with its two padding characters).
    #[error("uuid text has {found} characters, expected 22")]
    Length {
        /// Characters found, without padding.
        found: usize,
    },
    /// A character outside base64url.
    #[error("uuid text has {found:?} at character {at}, expected base64url")]
    Character {
        /// The character found.
        found: char,
        /// Its place, counted from 0.
        at: usize,
    },
    /// The four bits that the last character has to spare are not zero.
    #[error("uuid text does not end on sixteen whole bytes")]
    Trailing,
}

/// The 22 characters of `id`.
#[must_use]
pub fn encode(id: &Uuid) -> String {
    let mut text = String::with_capacity(TEXT_BYTES);
    // 128 bits are 21 groups of six and two bits over, which the last character carries in its high end.
    let bits = id.as_u128();
    for group in 0..TEXT_BYTES {
        let shift = 122 - 6 * i32::try_from(group).expect("22 groups");
        let six = if shift >= 0 {
            bits >> shift
        } else {
            bits << -shift
        };
        text.push(char::from(ALPHABET[(six & 0x3f) as usize]));
    }
    text
}

/// The UUID whose text this is; padding (`==`) is accepted, as Java's decoder does.
///
/// # Errors
/// [`ParseError`] when the text is not base64url of exactly sixteen bytes.
pub fn parse(text: &str) -> Result<Uuid, ParseError> {
    let text = text.strip_suffix("==").unwrap_or(text);
    let found = text.chars().count();
    if found != TEXT_BYTES {
        return Err(ParseError::Length { found });
    }
    let mut bits = 0u128;
    for (at, found) in text.chars().enumerate() {
        let six = ALPHABET
            .iter()
            .position(|&letter| char::from(letter) == found)
            .ok_or(ParseError::Character { found, at })? as u128;
        if at + 1 == TEXT_BYTES {
            if six & 0x0f != 0 {
                return Err(ParseError::Trailing);
            }
            bits = bits << 2 | six >> 4;
        } else {
            bits = bits << 6 | six;
        }
    }
    Ok(Uuid::from_u128(bits))
}

/// A random (version 4) UUID that Kafka would hand out: not a reserved one, and with a text that does not begin with `-`,
/// so that it can be given to a command line. `fill` fills the bytes it is given from the caller's source of randomness.
pub fn random(mut fill: impl FnMut(&mut [u8])) -> Uuid {
    loop {
        let mut bytes = [0u8; 16];
        fill(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let id = Uuid::from_bytes(bytes);
        if !encode(&id).starts_with('-') {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_reserved_ids_read_as_kafka_prints_them() {
        assert_eq!(encode(&Uuid::nil()), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(encode(&Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(parse("AAAAAAAAAAAAAAAAAAAAAQ=="), Ok(Uuid::from_u128(1)));
    }

    #[test]
    fn what_is_no_uuid_is_refused() {
        assert_eq!(parse(""), Err(ParseError::Length { found: 0 }));
        assert_eq!(
            parse("AAAAAAAAAAAAAAAAAAAA+Q"),
            Err(ParseError::Character { found: '+', at: 20 })
        );
        assert_eq!(parse("AAAAAAAAAAAAAAAAAAAAAB"), Err(ParseError::Trailing));
    }

    #[test]
    fn a_random_id_never_begins_with_a_dash() {
        // The first draw would begin with '-' (62 << 2): it is thrown away.
        let mut draws = [[0xf8u8; 16], [0x07u8; 16]].into_iter();
        let id =
            random(|bytes| bytes.copy_from_slice(&draws.next().expect("two draws are enough")));
        assert_eq!(encode(&id), "BwcHBwcHRweHBwcHBwcHBw");
    }

    proptest! {
        #[test]
        fn every_id_comes_back_from_its_text(bits: u128) {
            let id = Uuid::from_u128(bits);
            prop_assert_eq!(parse(&encode(&id)), Ok(id));
        }
    }
}
