//! Text.

use std::str::FromStr;

use uuid::Uuid;

use super::format::{Deserializer, Origin, Serializer};
use crate::error::BoxError;

/// UTF-8, as Java's `StringSerializer`: of everything that lends a `str`, to everything that is parsed from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Utf8;

impl<T: AsRef<str> + ?Sized> Serializer<T> for Utf8 {
    fn serialize(&self, _: &str, value: &T, into: &mut Vec<u8>) -> Result<(), BoxError> {
        into.extend_from_slice(value.as_ref().as_bytes());
        Ok(())
    }
}

impl<T: FromStr<Err: Into<BoxError>>> Deserializer<T> for Utf8 {
    fn deserialize(&self, _: &Origin<'_>, bytes: &[u8]) -> Result<T, BoxError> {
        // Java replaces what is not UTF-8; here it is an error, because a wrong key goes unnoticed.
        std::str::from_utf8(bytes)?.parse().map_err(Into::into)
    }
}

/// A UUID in its 36 letters, as Java's `UUIDSerializer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UuidText;

impl Serializer<Uuid> for UuidText {
    fn serialize(&self, _: &str, value: &Uuid, into: &mut Vec<u8>) -> Result<(), BoxError> {
        let mut letters = Uuid::encode_buffer();
        into.extend_from_slice(value.hyphenated().encode_lower(&mut letters).as_bytes());
        Ok(())
    }
}

impl Deserializer<Uuid> for UuidText {
    fn deserialize(&self, _: &Origin<'_>, bytes: &[u8]) -> Result<Uuid, BoxError> {
        Uuid::try_parse_ascii(bytes).map_err(|wrong| wrong.to_string().into())
    }
}
