//! A consumer's place in a classic group: what to ask the coordinator, what to make of the answers, and how a leader shares
//! the partitions out.

pub(crate) mod assignor;
pub(crate) mod member;
pub(crate) mod protocol;
#[cfg(test)]
mod simulation;
