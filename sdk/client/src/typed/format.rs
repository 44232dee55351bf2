//! The two traits of a format: a value to bytes, and bytes to a value.

use highwater_record::Headers;

use crate::error::BoxError;

/// Turns values of type `T` into bytes.
///
/// Implemented by the formats of this module and by whatever else knows how; one value serves all threads.
pub trait Serializer<T: ?Sized>: Send + Sync {
    /// Whether this value has no bytes at all: Kafka's null, which as a record's value is a tombstone.
    fn is_null(&self, value: &T) -> bool {
        let _ = value;
        false
    }

    /// Appends the bytes of a value that is not null to `into`, for a record of `topic`.
    ///
    /// # Errors
    ///
    /// Why this value can not be written. The record is not sent then.
    fn serialize(&self, topic: &str, value: &T, into: &mut Vec<u8>) -> Result<(), BoxError>;
}

/// Makes values of type `T` of bytes.
pub trait Deserializer<T>: Send + Sync {
    /// The value that these bytes stand for.
    ///
    /// # Errors
    ///
    /// Why they stand for none. The bytes may be anything: whoever can write to the topic chose them.
    fn deserialize(&self, origin: &Origin<'_>, bytes: &[u8]) -> Result<T, BoxError>;

    /// The value that the absence of bytes stands for.
    ///
    /// # Errors
    ///
    /// When it stands for none, as it does unless a format says otherwise.
    fn deserialize_null(&self, origin: &Origin<'_>) -> Result<T, BoxError> {
        let _ = origin;
        Err("there are no bytes, need some (Nullable takes none for None)".into())
    }
}

/// What a deserializer may know of a record beside the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    topic: &'a str,
    headers: Headers<'a>,
}

impl<'a> Origin<'a> {
    /// A record of `topic` with these headers.
    pub fn new(topic: &'a str, headers: Headers<'a>) -> Self {
        Self { topic, headers }
    }

    /// The topic it was read from.
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    /// Its headers, in order.
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }

    /// The value of the last header of this name, as Kafka looks headers up.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let named = self.headers.filter(|header| header.key == name.as_bytes());
        named.last().and_then(|header| header.value)
    }
}
