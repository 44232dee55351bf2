//! Records that bind other records together, or only mark time.

use crate::Wire;

/// What follows counts only when it is ended (KIP-868): changes too large for one batch.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct BeginTransactionRecord<'a> {
    /// What the batch of changes is about, in words; null when nobody said.
    #[wire(tag = 0)]
    pub name: Option<&'a str>,
}

/// Every change since the last [`BeginTransactionRecord`] counts.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct EndTransactionRecord {}

/// Forgets every change since the last [`BeginTransactionRecord`].
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct AbortTransactionRecord<'a> {
    /// Why, in words; null when nobody said.
    #[wire(tag = 0)]
    pub reason: Option<&'a str>,
}

/// Nothing happens: a sign of life.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct NoOpRecord {}
