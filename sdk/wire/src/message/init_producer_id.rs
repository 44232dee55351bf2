//! InitProducerId: an identity for an idempotent or transactional producer.

use crate::Wire;

/// Asks for a producer id, or for a new epoch of one. Version 6 (two-phase commit, KIP-939) is not stable in Kafka 4.3 and
/// not spoken.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = InitProducerId, response = InitProducerIdResponse, versions = 0..=5, flexible = 2..)]
pub struct InitProducerIdRequest<'a> {
    /// Transactional id of the producer, null when it is only idempotent.
    pub transactional_id: Option<&'a str>,
    /// How long a transaction may stay open, in milliseconds; of no matter without a transactional id.
    pub transaction_timeout_ms: i32,
    /// Id the producer has, -1 for none: it asks for a new epoch of it.
    #[wire(versions = 3.., default = -1)]
    pub producer_id: i64,
    /// Epoch the producer has, -1 for none.
    #[wire(versions = 3.., default = -1)]
    pub producer_epoch: i16,
}

/// The producer id and its epoch.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = InitProducerId, versions = 0..=5, flexible = 2..)]
pub struct InitProducerIdResponse {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    pub error_code: i16,
    /// The id given, -1 for none.
    #[wire(default = -1)]
    pub producer_id: i64,
    /// The epoch given.
    pub producer_epoch: i16,
}
