//! The producer's decisions: which partition, which batch, when to send, what to do with the answer.

pub(crate) mod delivery;
pub(crate) mod queue;
pub(crate) mod sticky;
pub(crate) mod undelivered;
