//! Bytes as they are.

use bytes::Bytes;

use super::format::{Deserializer, Origin, Serializer};
use crate::error::BoxError;

/// Bytes as they are: Java's `ByteArraySerializer`, `ByteBufferSerializer` and `BytesSerializer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

impl<T: AsRef<[u8]> + ?Sized> Serializer<T> for Raw {
    fn serialize(&self, _: &str, value: &T, into: &mut Vec<u8>) -> Result<(), BoxError> {
        into.extend_from_slice(value.as_ref());
        Ok(())
    }
}

impl Deserializer<Vec<u8>> for Raw {
    fn deserialize(&self, _: &Origin<'_>, bytes: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(bytes.to_vec())
    }
}

impl Deserializer<Bytes> for Raw {
    fn deserialize(&self, _: &Origin<'_>, bytes: &[u8]) -> Result<Bytes, BoxError> {
        Ok(Bytes::copy_from_slice(bytes))
    }
}
