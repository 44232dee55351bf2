//! A consumer's place in its group, by the classic protocol or the consumer protocol: what to ask the coordinator, what to make
//! of the answers, and how the leader of a classic group shares the partitions out.

pub(crate) mod assignor;
pub(crate) mod consumer_member;
pub(crate) mod member;
pub(crate) mod protocol;
pub(crate) mod seat;
#[cfg(test)]
mod simulation;
pub(crate) mod topics;
