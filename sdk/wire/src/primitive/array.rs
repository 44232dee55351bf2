//! Arrays that are not unpacked: a decoded array is its bytes and a count, and yields its elements when asked.
//! The bytes were all looked at once when the array was decoded, so that iteration neither fails nor allocates.

use super::{Cursor, Dialect, Get, GetNullable, Put, PutNullable, Sink};
use crate::{DecodeError, EncodeError};

/// A sequence of values: of the frame when decoded, of a vector or a slice when built to be encoded.
#[derive(Clone)]
pub struct Array<'a, T> {
    form: Form<'a, T>,
}

#[derive(Clone)]
enum Form<'a, T> {
    /// Invariant: `bytes` holds exactly `count` values that decode in `dialect`.
    Wire {
        bytes: &'a [u8],
        count: u32,
        dialect: Dialect,
    },
    Slice(&'a [T]),
    Vec(Vec<T>),
}

impl<'a, T> Array<'a, T> {
    /// No elements.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            form: Form::Slice(&[]),
        }
    }

    /// How many elements there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match &self.form {
            Form::Wire { count, .. } => *count as usize,
            Form::Slice(slice) => slice.len(),
            Form::Vec(vec) => vec.len(),
        }
    }

    /// Whether there are no elements.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in order, by value: decoded from the frame, or cloned from what the array was built of.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, 'a, T> {
        Iter {
            form: match &self.form {
                Form::Wire {
                    bytes,
                    count,
                    dialect,
                } => IterForm::Wire {
                    cursor: Cursor::new(bytes),
                    left: *count as usize,
                    dialect: *dialect,
                },
                Form::Slice(slice) => IterForm::Slice(slice.iter()),
                Form::Vec(vec) => IterForm::Slice(vec.iter()),
            },
        }
    }
}

impl<'a, T: Get<'a> + Clone> Array<'a, T> {
    /// The elements as a vector.
    #[must_use]
    pub fn to_vec(&self) -> Vec<T> {
        self.iter().collect()
    }

    /// The first element.
    #[must_use]
    pub fn first(&self) -> Option<T> {
        self.iter().next()
    }
}

impl<T> Default for Array<'_, T> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T> From<Vec<T>> for Array<'_, T> {
    fn from(vec: Vec<T>) -> Self {
        Self {
            form: Form::Vec(vec),
        }
    }
}

impl<'a, T> From<&'a [T]> for Array<'a, T> {
    fn from(slice: &'a [T]) -> Self {
        Self {
            form: Form::Slice(slice),
        }
    }
}

impl<T, const N: usize> From<[T; N]> for Array<'_, T> {
    fn from(array: [T; N]) -> Self {
        Self {
            form: Form::Vec(array.into()),
        }
    }
}

impl<T> FromIterator<T> for Array<'_, T> {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Self {
        Self {
            form: Form::Vec(iter.into_iter().collect()),
        }
    }
}

impl<'a, T: Get<'a> + Clone + PartialEq> PartialEq for Array<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<'a, T: Get<'a> + Clone + std::fmt::Debug> std::fmt::Debug for Array<'a, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The elements of an [`Array`], by value.
#[derive(Clone)]
pub struct Iter<'s, 'a, T> {
    form: IterForm<'s, 'a, T>,
}

#[derive(Clone)]
enum IterForm<'s, 'a, T> {
    Wire {
        cursor: Cursor<'a>,
        left: usize,
        dialect: Dialect,
    },
    Slice(std::slice::Iter<'s, T>),
}

impl<'a, T: Get<'a> + Clone> Iterator for Iter<'_, 'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match &mut self.form {
            IterForm::Wire {
                cursor,
                left,
                dialect,
            } => {
                *left = left.checked_sub(1)?;
                Some(
                    T::get(*dialect, cursor)
                        .expect("the same bytes were read when the array was decoded"),
                )
            }
            IterForm::Slice(slice) => slice.next().cloned(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.form {
            IterForm::Wire { left, .. } => *left,
            IterForm::Slice(slice) => slice.len(),
        };
        (left, Some(left))
    }
}

impl<'a, T: Get<'a> + Clone> ExactSizeIterator for Iter<'_, 'a, T> {}

impl<'s, 'a, T: Get<'a> + Clone> IntoIterator for &'s Array<'a, T> {
    type Item = T;
    type IntoIter = Iter<'s, 'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T: Get<'a>> Get<'a> for Array<'a, T> {
    #[inline]
    fn get(dialect: Dialect, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        Self::get_nullable(dialect, cursor)?.ok_or(DecodeError::Null)
    }
}

impl<'a, T: Get<'a>> GetNullable<'a> for Array<'a, T> {
    fn get_nullable(
        dialect: Dialect,
        cursor: &mut Cursor<'a>,
    ) -> Result<Option<Self>, DecodeError> {
        let Some(count) = cursor.length(dialect.flexible)? else {
            return Ok(None);
        };
        let rest = cursor.rest();
        // No element takes less than a byte, so a count beyond that is a lie and not worth a loop.
        if count as usize > rest.len() {
            return Err(DecodeError::ArrayTooLong {
                count,
                left: rest.len(),
            });
        }
        let bytes = match T::FIXED {
            Some(size) => cursor.take((count as usize).saturating_mul(size))?,
            None => {
                for _ in 0..count {
                    T::get(dialect, cursor)?;
                }
                let read = rest.len() - cursor.remaining();
                rest.get(..read).unwrap_or_default()
            }
        };
        Ok(Some(Self {
            form: Form::Wire {
                bytes,
                count,
                dialect,
            },
        }))
    }
}

impl<'a, T: Get<'a> + Put> Put for Array<'a, T> {
    fn put<S: Sink>(&self, dialect: Dialect, sink: &mut S) -> Result<(), EncodeError> {
        sink.length(self.len(), dialect.flexible)?;
        match &self.form {
            Form::Wire {
                bytes,
                count,
                dialect: read,
            } => {
                let mut cursor = Cursor::new(bytes);
                for _ in 0..*count {
                    let element = T::get(*read, &mut cursor)
                        .expect("the same bytes were read when the array was decoded");
                    element.put(dialect, sink)?;
                }
                Ok(())
            }
            Form::Slice(slice) => slice
                .iter()
                .try_for_each(|element| element.put(dialect, sink)),
            Form::Vec(vec) => vec
                .iter()
                .try_for_each(|element| element.put(dialect, sink)),
        }
    }

    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

impl<'a, T: Get<'a> + Put> PutNullable for Array<'a, T> {
    #[inline]
    fn put_null<S: Sink>(dialect: Dialect, sink: &mut S) {
        sink.null_length(dialect.flexible);
    }
}
