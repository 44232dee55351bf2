//! JSON, by serde.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::format::{Deserializer, Origin, Serializer};
use crate::error::BoxError;

/// `T` as JSON text without spaces. JSON's `null` is not Kafka's: `Json<Option<T>>` writes the four letters,
/// [`Nullable`](super::Nullable)`(Json::<T>::new())` a tombstone.
pub struct Json<T>(PhantomData<fn() -> T>);

impl<T> Json<T> {
    /// The format.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Json<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Json<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Json<T> {}

impl<T> fmt::Debug for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json")
    }
}

impl<T: Serialize> Serializer<T> for Json<T> {
    fn serialize(&self, _: &str, value: &T, into: &mut Vec<u8>) -> Result<(), BoxError> {
        serde_json::to_writer(into, value).map_err(Into::into)
    }
}

impl<T: DeserializeOwned> Deserializer<T> for Json<T> {
    fn deserialize(&self, _: &Origin<'_>, bytes: &[u8]) -> Result<T, BoxError> {
        serde_json::from_slice(bytes).map_err(Into::into)
    }
}
