//! Keys and values that may not be there.

use super::format::{Deserializer, Origin, Serializer};
use crate::error::BoxError;

/// `Option<T>` in the format of a `T`: `None` is Kafka's null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nullable<F>(pub F);

impl<T, F: Serializer<T>> Serializer<Option<T>> for Nullable<F> {
    fn is_null(&self, value: &Option<T>) -> bool {
        value.as_ref().is_none_or(|value| self.0.is_null(value))
    }

    fn serialize(
        &self,
        topic: &str,
        value: &Option<T>,
        into: &mut Vec<u8>,
    ) -> Result<(), BoxError> {
        match value {
            Some(value) => self.0.serialize(topic, value, into),
            None => Ok(()),
        }
    }
}

impl<T, F: Deserializer<T>> Deserializer<Option<T>> for Nullable<F> {
    fn deserialize(&self, origin: &Origin<'_>, bytes: &[u8]) -> Result<Option<T>, BoxError> {
        self.0.deserialize(origin, bytes).map(Some)
    }

    fn deserialize_null(&self, _: &Origin<'_>) -> Result<Option<T>, BoxError> {
        Ok(None)
    }
}

/// Nothing, as Java's `VoidSerializer`: `()` is null, and bytes where there should be none are an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Null;

impl Serializer<()> for Null {
    fn is_null(&self, (): &()) -> bool {
        true
    }

    fn serialize(&self, _: &str, (): &(), _: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(())
    }
}

impl Deserializer<()> for Null {
    fn deserialize(&self, _: &Origin<'_>, bytes: &[u8]) -> Result<(), BoxError> {
        Err(format!("there are {} bytes, need none", bytes.len()).into())
    }

    fn deserialize_null(&self, _: &Origin<'_>) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Whatever it is, `()`: for a key or a value that nobody looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored;

impl Deserializer<()> for Ignored {
    fn deserialize(&self, _: &Origin<'_>, _: &[u8]) -> Result<(), BoxError> {
        Ok(())
    }

    fn deserialize_null(&self, _: &Origin<'_>) -> Result<(), BoxError> {
        Ok(())
    }
}
