//! Values of fixed width: integers big-endian, booleans as a byte, UUIDs as sixteen.

use super::{Cursor, Dialect, Get, Put, Sink};
use crate::{DecodeError, EncodeError};
use uuid::Uuid;

macro_rules! number {
    ($($number:ty),*) => {$(
        impl<'a> Get<'a> for $number {
            const FIXED: Option<usize> = Some(size_of::<$number>());

            #[inline]
            fn get(_: Dialect, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
                Ok(Self::from_be_bytes(cursor.fixed()?))
            }
        }

        impl Put for $number {
            #[inline]
            fn put<S: Sink>(&self, _: Dialect, sink: &mut S) -> Result<(), EncodeError> {
                sink.bytes(&self.to_be_bytes());
                Ok(())
            }

            #[inline]
            fn is_default(&self) -> bool {
                *self == Self::default()
            }
        }
    )*};
}

number!(i8, i16, i32, i64, u16, u32, f64);

impl<'a> Get<'a> for bool {
    const FIXED: Option<usize> = Some(1);

    #[inline]
    fn get(_: Dialect, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let [byte] = cursor.fixed()?;
        Ok(byte != 0)
    }
}

impl Put for bool {
    #[inline]
    fn put<S: Sink>(&self, _: Dialect, sink: &mut S) -> Result<(), EncodeError> {
        sink.bytes(&[u8::from(*self)]);
        Ok(())
    }

    #[inline]
    fn is_default(&self) -> bool {
        !*self
    }
}

impl<'a> Get<'a> for Uuid {
    const FIXED: Option<usize> = Some(16);

    #[inline]
    fn get(_: Dialect, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        Ok(Self::from_bytes(cursor.fixed()?))
    }
}

impl Put for Uuid {
    #[inline]
    fn put<S: Sink>(&self, _: Dialect, sink: &mut S) -> Result<(), EncodeError> {
        sink.bytes(self.as_bytes());
        Ok(())
    }

    #[inline]
    fn is_default(&self) -> bool {
        self.is_nil()
    }
}
