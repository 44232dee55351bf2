//! Protocol Buffers, by prost.

use std::fmt;
use std::marker::PhantomData;

use prost::Message;

use super::format::{Deserializer, Origin, Serializer};
use crate::error::BoxError;

/// A message in the encoding of Protocol Buffers, with nothing before it.
pub struct Prost<T>(PhantomData<fn() -> T>);

impl<T> Prost<T> {
    /// The format.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Prost<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Prost<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Prost<T> {}

impl<T> fmt::Debug for Prost<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prost")
    }
}

impl<T: Message> Serializer<T> for Prost<T> {
    fn serialize(&self, _: &str, value: &T, into: &mut Vec<u8>) -> Result<(), BoxError> {
        value.encode(into).map_err(Into::into)
    }
}

impl<T: Message + Default> Deserializer<T> for Prost<T> {
    fn deserialize(&self, _: &Origin<'_>, bytes: &[u8]) -> Result<T, BoxError> {
        T::decode(bytes).map_err(Into::into)
    }
}
