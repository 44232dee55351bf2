//! Numbers and truth values as Java's clients write them.

use super::format::{Deserializer, Origin, Serializer};
use crate::error::BoxError;

/// Numbers of fixed width, big-endian: what Java's `ShortSerializer`, `IntegerSerializer`, `LongSerializer`,
/// `FloatSerializer` and `DoubleSerializer` write, and the unsigned ones beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BigEndian;

macro_rules! big_endian {
    ($($number:ty),*) => {$(
        impl Serializer<$number> for BigEndian {
            fn serialize(
                &self,
                _: &str,
                value: &$number,
                into: &mut Vec<u8>,
            ) -> Result<(), BoxError> {
                into.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }
        }

        impl Deserializer<$number> for BigEndian {
            fn deserialize(&self, _: &Origin<'_>, bytes: &[u8]) -> Result<$number, BoxError> {
                match bytes.try_into() {
                    Ok(bytes) => Ok(<$number>::from_be_bytes(bytes)),
                    Err(_) => Err(wrong_length(bytes.len(), size_of::<$number>())),
                }
            }
        }
    )*};
}

big_endian!(i16, i32, i64, u16, u32, u64, f32, f64);

fn wrong_length(found: usize, need: usize) -> BoxError {
    format!("there are {found} bytes, need {need}").into()
}

/// One byte, 0 or 1: Java's `BooleanSerializer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boolean;

impl Serializer<bool> for Boolean {
    fn serialize(&self, _: &str, value: &bool, into: &mut Vec<u8>) -> Result<(), BoxError> {
        into.push(u8::from(*value));
        Ok(())
    }
}

impl Deserializer<bool> for Boolean {
    fn deserialize(&self, _: &Origin<'_>, bytes: &[u8]) -> Result<bool, BoxError> {
        match bytes {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(format!("the byte is {other}, need 0 or 1").into()),
            _ => Err(wrong_length(bytes.len(), 1)),
        }
    }
}
